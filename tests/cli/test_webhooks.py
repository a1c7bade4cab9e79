"""`webhooks list`, `show` and `replay`."""

import pytest

from tests.support.processes import here, storage_settings
from tests.support.receivers import LOOPBACK, add, deliveries, post_due, receiving
from tests.support.service import serving
from tests.support.vendor import Vendor


async def test_an_operator_sees_a_webhook_and_posts_again_what_failed(migrated: str, vendor: Vendor) -> None:
    settings = storage_settings(migrated)
    with receiving() as receiver:
        async with serving(migrated, vendor, webhook_networks=LOOPBACK) as service:
            added = await add(service.api, receiver.url)
            await service.api.cancel((await service.api.start())["id"])
            receiver.status = 410
            await post_due(service)
            listed = here("webhooks", "list", settings=settings)
            assert listed.code == 0
            assert [added["id"], "disabled", receiver.url] == [listed.out.split("\t")[at] for at in (0, 2, 3)]
            shown = here("webhooks", "show", added["id"], settings=settings)
            assert "verification.canceled\tfailed\t1 tries\thttp_410" in shown.out
            assert added["secret"] not in listed.out + shown.out
            replayed = here("webhooks", "replay", added["id"], settings=settings)
            assert replayed.out == "1 events are posted again.\n"
            receiver.status = 200
            await post_due(service)
            assert [each["status"] for each in await deliveries(service.api, added["id"])] == ["delivered"]


@pytest.mark.parametrize("command", ["show", "replay"])
def test_an_unknown_webhook_is_said_to_be_unknown(migrated: str, command: str) -> None:
    done = here("webhooks", command, "whk_x", settings=storage_settings(migrated))
    assert (done.code, done.err) == (1, "error: No such webhook.\n")
