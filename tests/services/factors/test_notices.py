"""Notices to the phones of a subject that its factors have changed."""

import pytest

from otp_service.config.policy.shipped_texts import FACTOR_ADDED, FACTOR_REMOVED
from otp_service.services.factors import factors
from otp_service.services.notifications import outbox
from otp_service.texts import fill_in, segments
from tests.support.factors import active_sms, active_totp, challenge_proof, client_id, new_totp, verify
from tests.support.notifications import opt_out
from tests.support.service import NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

ADDED = "Casa: a new sign-in method was added to your account. If this was not you, change your password."
REMOVED = "Casa: a sign-in method was removed from your account. If this was not you, change your password."


async def notices(service: Service, to: str) -> list[str]:
    """Returns what was sent to a number that is no PIN, the newest first."""
    await outbox.work(service.ctx)
    return [each["text"] for each in service.vendor.messages(to) if each["pin"] is None]


async def test_a_phone_learns_of_every_factor_that_becomes_active_or_is_removed(service: Service) -> None:
    to, client = new_number(), await client_id(service)
    phone = await active_sms(service, "u", to)
    assert await notices(service, to) == []
    app = await new_totp(service, "u", await challenge_proof(service, "u"))
    assert await notices(service, to) == []
    await verify(service, app)
    assert await notices(service, to) == [ADDED]
    await active_sms(service, "u", proof=await challenge_proof(service, "u"))
    assert await notices(service, to) == [ADDED, ADDED]
    await factors.remove(service.ctx, client, app.id, None)
    assert await notices(service, to) == [REMOVED, ADDED, ADDED]
    await factors.remove(service.ctx, client, phone.id, None)
    assert await notices(service, to) == [REMOVED, REMOVED, ADDED, ADDED]


async def test_a_refused_change_sends_none(service: Service) -> None:
    to = new_number()
    phone = await active_sms(service, "u", to)
    with pytest.raises(Exception, match="proof_needed"):
        await factors.remove(service.ctx, await client_id(service), phone.id, None)
    assert await notices(service, to) == []


async def test_a_number_that_opted_out_gets_none(service: Service) -> None:
    to = new_number()
    phone = await active_sms(service, "u", to)
    await opt_out(service, to)
    await factors.remove(service.ctx, await client_id(service), phone.id, await challenge_proof(service, "u"))
    assert await notices(service, to) == []


async def test_none_is_sent_if_the_policy_says_so_and_the_default_locale_selects_the_text(
    database_url: str, vendor: Vendor
) -> None:
    for notify, expected in ((False, 0), (True, 1)):
        config = {"limits": NO_LIMITS, "factors": {"notify": notify}, "notifications": {"default_locale": "es-CO"}}
        async with serving(database_url, vendor, config) as service:
            to = new_number()
            await active_sms(service, "u", to)
            await active_totp(service, "u", await challenge_proof(service, "u"))
            sent = await notices(service, to)
            assert len(sent) == expected
            assert all("método de acceso" in text for text in sent)


@pytest.mark.parametrize("text", [*FACTOR_ADDED.values(), *FACTOR_REMOVED.values()])
def test_a_notice_is_one_segment(text: str) -> None:
    assert segments(fill_in(text, {"brand": "A brand of forty characters, no more 40"})) == 1
