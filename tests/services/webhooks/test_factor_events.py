"""The events of factors and devices, as webhooks get them."""

from collections.abc import AsyncIterator

import pytest

from otp_service.api.events import EVENT_TYPES
from tests.services.factors.test_challenges import check, codes, enrolled, start
from tests.support.factors import challenge_proof, value
from tests.support.receivers import LOOPBACK, Receiver, add, post_due
from tests.support.service import Service, serving, wrong
from tests.support.vendor import Vendor

SUBJECT = "user-17"


@pytest.fixture
async def service(database_url: str, vendor: Vendor, stopped_clock: None) -> AsyncIterator[Service]:  # noqa: ARG001
    """The service, which may post to the receiver."""
    async with serving(database_url, vendor, webhook_networks=LOOPBACK) as running:
        yield running


async def test_every_event_of_a_factor_or_device_is_posted_with_what_it_is_about(
    service: Service, receiver: Receiver
) -> None:
    await add(service.api, f"{receiver.url}/mine", "factor.*", "device.*")
    await add(await service.client("other"), f"{receiver.url}/other", "*")
    secret = await enrolled(service)
    code, *_ = await codes(service)
    for number in range(10):
        challenge = await start(service, session=f"{number}")
        await check(service, challenge, wrong(value(service, secret)), session=f"{number}")
    await check(service, await start(service), code, remember=True)
    (device,) = (await service.api.call("GET", f"/v1/devices?subject={SUBJECT}")).json()["devices"]
    await service.api.call("DELETE", f"/v1/devices/{device['id']}")
    (factor,) = (await service.api.call("GET", f"/v1/factors?subject={SUBJECT}")).json()["factors"]
    proof = await challenge_proof(service, SUBJECT)
    answer = await service.api.call("DELETE", f"/v1/factors/{factor['id']}", x_proof=proof)
    assert answer.status_code == 204, answer.text
    await post_due(service)
    posted = {event.type: event.data for event in receiver.events}
    assert {event.path for event in receiver.events} == {"/mine"}
    assert set(posted) == {name for name in EVENT_TYPES if name.startswith(("factor.", "device."))}
    assert posted["factor.removed"] == factor
    assert posted["factor.added"]["status"] == "unverified"
    assert posted["factor.locked"] == factor | {"status": "locked", "last_used_at": None}
    assert posted["factor.recovery_code_used"] == {"subject": SUBJECT, "remaining": 9}
    assert posted["device.revoked"] == posted["device.added"] == device
