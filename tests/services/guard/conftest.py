"""The service with an enforced guard, without other limits, at a stopped time."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.services.guard.support import config
from tests.support.receivers import Receiver, receiving
from tests.support.service import Service, serving
from tests.support.vendor import Vendor


@pytest.fixture
def guard() -> dict[str, Any]:
    """The policy table `[guard]`; a test module may override it."""
    return {"mode": "enforce"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def service(
    database_url: str,
    vendor: Vendor,
    guard: dict[str, Any],
    stopped_clock: None,  # noqa: ARG001
) -> AsyncIterator[Service]:
    """The service."""
    async with serving(database_url, vendor, config(**guard)) as running:
        yield running
