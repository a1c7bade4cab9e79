"""The service with a receiver on loopback."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.receivers import LOOPBACK, Receiver, receiving
from tests.support.service import AT_ONCE, NO_LIMITS, Service, serving
from tests.support.vendor import Vendor

CONFIG = {
    "limits": NO_LIMITS,
    "purposes": {"signup": {"routes": ["sms"], **AT_ONCE}, "login": {"inbound": True}},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def service(database_url: str, vendor: Vendor) -> AsyncIterator[Service]:
    """The service without limits, which may post to loopback."""
    async with serving(database_url, vendor, CONFIG, webhook_networks=LOOPBACK) as running:
        yield running
