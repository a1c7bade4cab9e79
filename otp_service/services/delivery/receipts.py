"""What became of a message: by the gateway's callback, or asked for.

A receipt only ever raises what is known of a message, so that doubled, late and disordered ones change nothing. It
never touches a verification's status, an attempt or a budget: anybody who learns the callback's address can write one.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from sqlalchemy.engine import Connection

from otp_service import texts
from otp_service.config.policy import Policy
from otp_service.database.statements import AnyRow
from otp_service.gateways.base import Delivery, NoReply, Receipt
from otp_service.observability.metrics import RECEIPTS
from otp_service.services import numbers
from otp_service.services.context import Context
from otp_service.services.delivery import message_ids
from otp_service.services.numbers import open_number
from otp_service.storage.verifications import events, receipts

RANKS: tuple[Delivery, ...] = ("sent", "unknown", "failed", "undelivered", "delivered")
"""Each tells more than those before it."""
FINAL = frozenset({"failed", "undelivered", "delivered"})
MATCHED_SECONDS = 7 * 3600.0
"""How old a send may be that is known by its number and text alone; as long as it is asked for by default."""
EARLIER_SECONDS = 60.0
"""The vendor's clock can be behind ours."""
BATCH = 20
AT_ONCE = 5

Source = Literal["callback", "poll"]


async def note(ctx: Context, receipt: Receipt, source: Source) -> None:
    """Notes what a receipt says of one of our messages. One that comes before its message is kept for a while."""
    RECEIPTS.labels(receipt.status, source).inc()
    if not await _apply(ctx, receipt) and source == "callback":
        ctx.early.add(receipt, ctx.clock.now())


async def poll(ctx: Context) -> bool:
    """Looks up early receipts again and asks the gateway for those that are due; True: more are due at once."""
    await _look_again(ctx)
    if not await ctx.database.read(lambda tx: receipts.is_due(tx, ctx.clock.now())):
        return False
    due = await ctx.database.write(lambda tx: _claim(ctx, tx))
    few = asyncio.Semaphore(AT_ONCE)
    went = await asyncio.gather(*(_ask(ctx, row, few) for rows in due for row in rows), return_exceptions=True)
    for failure in went:
        if failure is not None:
            raise failure
    return any(len(rows) == BATCH for rows in due)


def _claim(ctx: Context, tx: Connection) -> tuple[Sequence[AnyRow], Sequence[AnyRow]]:
    now, asks = ctx.clock.now(), ctx.policy.receipts.poll_after
    sends = receipts.claim_sends(tx, now, poll_after=asks, limit=BATCH)
    return sends, receipts.claim_notifications(tx, now, poll_after=asks, limit=BATCH)


async def _look_again(ctx: Context) -> None:
    for early in ctx.early.take_due(ctx.clock.now()):
        if not await _apply(ctx, early.receipt):
            ctx.early.keep(early)


async def _apply(ctx: Context, receipt: Receipt) -> bool:
    """Notes a receipt; False where it is about no message that we know."""
    digests = message_ids.digests(ctx.vault, receipt.message_id)
    message = await ctx.database.read(lambda tx: receipts.find(tx, digests))
    if message is None:
        return await _match(ctx, receipt)
    if message.standing in _lower(receipt.status):
        await ctx.database.write(lambda tx: _raise(ctx, tx, message, receipt.status))
    return True


async def _match(ctx: Context, receipt: Receipt) -> bool:
    """Notes a receipt of a message whose id the vendor never told, where only one can be meant.

    The digits of its PIN are not looked at: whoever can write receipts could try out PINs.
    """
    if receipt.to is None or receipt.text is None:
        return False
    number, since = list(numbers.digests(ctx.vault, receipt.to).values()), ctx.clock.now() - MATCHED_SECONDS
    sends = await ctx.database.read(lambda tx: receipts.without_id(tx, number, since))
    alike = [send for send in sends if _is_text_of(ctx.policy, send, receipt.text)]
    if len(alike) != 1 or alike[0].outcome is None:
        return False
    return await ctx.database.write(lambda tx: _identify(ctx, tx, alike[0], receipt))


def _identify(ctx: Context, tx: Connection, send: AnyRow, receipt: Receipt) -> bool:
    receipts.hold(tx, send.verification_id)
    if not receipts.identify(tx, send.id, message_ids.kept(ctx.vault, receipt.message_id)):
        return False
    _raise(ctx, tx, send, receipt.status)
    return True


def _raise(ctx: Context, tx: Connection, message: AnyRow, status: Delivery) -> None:
    """`message`: as `receipts.find` or `receipts.without_id` has it."""
    over, final = _lower(status), status in FINAL
    if message.verification_id is None:
        receipts.raise_notification(tx, message.id, status, over=over, final=final)
        return
    receipts.hold(tx, message.verification_id)
    if receipts.raise_send(tx, message.id, status, over=over, final=final):
        receipts.show(tx, message.verification_id, message.id, status)
        now = ctx.clock.now()
        events.add(tx, message.verification_id, now=now, kind="receipt", result=status, route=message.route)


def _lower(status: Delivery) -> Sequence[Delivery]:
    return RANKS[: RANKS.index(status)]


def _is_text_of(policy: Policy, send: AnyRow, text: str | None) -> bool:
    """Whether `text` can be what was sent. `send`: with the verification's `purpose` and `pin_length`."""
    purpose = policy.purposes.get(send.purpose)
    if purpose is None or text is None:
        return False
    facts = {"pin_length": send.pin_length, "brand": purpose.brand}
    return any(texts.reads_like(text, template, **facts) for template in purpose.text.values())


async def _ask(ctx: Context, row: AnyRow, few: asyncio.Semaphore) -> None:
    async with few:
        message_id = message_ids.read(ctx.vault, row.message_sealed)
        if message_id is not None:
            await _ask_for_message(ctx, message_id)
        elif (to := open_number(ctx.vault, row.sealed)) is not None:
            await _ask_for_report(ctx, row, to)


async def _ask_for_message(ctx: Context, message_id: str) -> None:
    got = await ctx.gateway.receipt(message_id, ctx.gateway_timeout)
    ctx.gateway_health.record_read("getMessage", got.reason if isinstance(got, NoReply) else "ok")
    if isinstance(got, Receipt):
        await note(ctx, got, "poll")


async def _ask_for_report(ctx: Context, send: AnyRow, to: str) -> None:
    """The way to a message whose id the vendor never told: what it reports of the number since the send."""
    since, until = send.started_at - EARLIER_SECONDS, ctx.clock.now()
    got = await ctx.gateway.report(to, since, until, ctx.gateway_timeout)
    ctx.gateway_health.record_read("messageReport", got.reason if isinstance(got, NoReply) else "ok")
    if isinstance(got, NoReply):
        return
    alike = [receipt for receipt in got if _is_text_of(ctx.policy, send, receipt.text)]
    known = await ctx.database.read(lambda tx: _known(ctx, tx, alike))
    unknown = {receipt.message_id for receipt in alike} - known
    for receipt in alike:
        if receipt.message_id in known or len(unknown) == 1:
            await note(ctx, receipt, "poll")


def _known(ctx: Context, tx: Connection, found: Sequence[Receipt]) -> set[str]:
    """The ids of these receipts that are of messages of ours."""
    ids = {receipt.message_id for receipt in found}
    return {each for each in ids if receipts.find(tx, message_ids.digests(ctx.vault, each)) is not None}
