"""What webhooks and metrics say of the guard's decisions."""

import pytest

from tests.services.guard.support import config, new_range, pump
from tests.support.receivers import LOOPBACK, Receiver, add, post_due
from tests.support.service import serving
from tests.support.vendor import Vendor


@pytest.mark.parametrize("mode", ["record", "enforce"])
async def test_the_first_block_of_a_rule_in_a_country_is_told_to_the_client(
    database_url: str, vendor: Vendor, receiver: Receiver, mode: str
) -> None:
    async with serving(database_url, vendor, config(mode=mode), webhook_networks=LOOPBACK) as service:
        await add(service.api, f"{receiver.url}/mine", "guard.alarm")
        await add(await service.client("other"), f"{receiver.url}/other", "*")
        await pump(service, new_range(), 8)
        await post_due(service)
        mine = [event.data for event in receiver.events]
        assert {event.path for event in receiver.events} == {"/mine"}
        assert {"rule": "prefix", "mode": mode, "country": "CO"} in mine
        assert len(mine) == len({each["rule"] for each in mine})
        await pump(service, new_range(), 8)
        await post_due(service)
        assert len([event for event in receiver.events if event.data["rule"] == "prefix"]) == 1
        metrics = (await service.http.get("/metrics")).text
        assert f'otp_guard_decisions_total{{country="CO",mode="{mode}",rule="prefix"}}' in metrics
