"""The simulated vendor and a gateway to it, over real HTTP."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from otp_service.gateways.ogangi.caller import Account, Descriptor
from otp_service.gateways.ogangi.client import OgangiGateway
from tests.gateways.ogangi.vectors import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, SENDER
from tests.support.vendor import Vendor, running_vendor

GatewayTo = Callable[..., OgangiGateway]


@pytest.fixture(scope="module")
def one_vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(one_vendor: Vendor) -> Iterator[Vendor]:
    yield one_vendor
    one_vendor.recover()


@pytest.fixture
async def gateway_to() -> AsyncIterator[GatewayTo]:
    """Makes gateways to a base URL and closes them."""
    made: list[OgangiGateway] = []

    def make(
        base_url: str,
        *,
        private_key: str = PRIVATE_KEY,
        padding: bool = False,
        sender: str = SENDER,
        descriptor: Descriptor | None = None,
        mt_flags: str = "",
    ) -> OgangiGateway:
        account = Account(base_url, INSTANCE_ID, PUBLIC_KEY, private_key, sender)
        made.append(
            OgangiGateway(account, padding=padding, pin_placeholder="{0}", mt_flags=mt_flags, descriptor=descriptor)
        )
        return made[-1]

    yield make
    for gateway in made:
        await gateway.aclose()


@pytest.fixture
def gateway(vendor: Vendor, gateway_to: GatewayTo) -> OgangiGateway:
    return gateway_to(vendor.base_url)
