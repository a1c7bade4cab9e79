"""The service without limits of messages, at a stopped time."""

from collections.abc import AsyncIterator

import pytest

from tests.support.service import NO_LIMITS, Service, serving
from tests.support.vendor import Vendor

CONFIG = {"limits": NO_LIMITS, "factors": {"brand": "Casa"}}


@pytest.fixture
async def service(database_url: str, vendor: Vendor, stopped_clock: None) -> AsyncIterator[Service]:  # noqa: ARG001
    """The service."""
    async with serving(database_url, vendor, CONFIG) as running:
        yield running
