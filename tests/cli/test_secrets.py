"""`otp-service secrets`."""

from functools import partial

import pytest

from otp_service.config.secret_keys import parse_secret_keys
from otp_service.vault import generate_key_entry
from tests.support.processes import here, ok, storage_settings, together
from tests.support.service import SECRET_KEYS, serving
from tests.support.vendor import Vendor


def test_a_generated_entry_can_be_used_as_it_is() -> None:
    one, other = together(*[partial(ok, "secrets", "generate", settings={})] * 2)
    ((one_id, one_key),) = parse_secret_keys(one.removesuffix("\n"))
    ((other_id, other_key),) = parse_secret_keys(other.removesuffix("\n"))
    assert one_id != other_id
    assert one_key != other_key


async def test_rewrap_moves_everything_to_the_first_key_and_status_says_what_is_left(
    database_url: str, vendor: Vendor
) -> None:
    old, new = SECRET_KEYS.partition(":")[0], generate_key_entry()
    async with serving(database_url, vendor) as service:
        await service.api.call(
            "POST", "/v1/verifications", {"to": "+573009999001", "purpose": "signup"}, idempotency_key="a"
        )
    both = storage_settings(database_url, OTP_SECRET_KEYS=f"{new},{SECRET_KEYS}")
    first = new.partition(":")[0]
    before = ok("secrets", "status", settings=both).splitlines()
    assert before == [
        f"{first}\tneeded\twrites",
        f"{old}\tneeded\tthe number index, 1 numbers, 1 PIN hashes, 1 saved answers",
    ]
    moved = here("secrets", "rewrap", settings=both)
    assert (moved.code, moved.out.splitlines()[0][:20]) == (0, "2 values are now und")
    assert ok("secrets", "status", settings=both).splitlines() == [
        f"{first}\tneeded\twrites, the number index, 1 numbers, 1 saved answers",
        f"{old}\tneeded\t1 PIN hashes, 1 saved answers",
    ]
    without = ok("secrets", "status", settings=storage_settings(database_url, OTP_SECRET_KEYS=new))
    assert f"{old}\tneeded\t1 PIN hashes, 1 saved answers  MISSING in OTP_SECRET_KEYS: put it back\n" in without


@pytest.mark.parametrize("keys", ["k1", "k1:c2hvcnQ", "k1:" + "A" * 43, f"{SECRET_KEYS},{SECRET_KEYS}"])
def test_keys_that_cannot_be_used_are_named_without_their_value(keys: str) -> None:
    done = here("secrets", "status", settings=storage_settings("sqlite:///none", OTP_SECRET_KEYS=keys))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: OTP_SECRET_KEYS: ")
    assert keys not in done.err
