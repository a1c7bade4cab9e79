"""Receipts: what became of a message, from the gateway's callback or by polling.

A receipt only ever makes the known state of a message more certain, so that duplicate, late and disordered receipts
change nothing. It never touches a verification's status, an attempt or a budget: anybody who learns the callback's
address can write one.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from sqlalchemy.engine import Connection

from otp_service import phone, texts
from otp_service.config.policy.policy import Policy
from otp_service.database.statements import AnyRow
from otp_service.gateways.base import DeliveryStatus, NoReply, Receipt
from otp_service.observability.metrics import RECEIPTS
from otp_service.services.context import Context
from otp_service.services.delivery import lease_worker, message_ids
from otp_service.storage import numbers
from otp_service.storage.queues import notification_receipts
from otp_service.storage.verifications import events, receipts

RANKS: tuple[DeliveryStatus, ...] = ("unknown", "sent", "failed", "undelivered", "delivered")
"""Each is more certain than those before it."""
FINAL = frozenset({"failed", "undelivered", "delivered"})
MATCHED_SECONDS = 7 * 3600.0
"""How old a send may be that is matched by number and text alone; as long as receipts are polled by default."""
EARLIER_SECONDS = 60.0
"""The gateway's clock can be behind ours."""
CONCURRENCY = 5

Source = Literal["callback", "poll"]


async def record(ctx: Context, receipt: Receipt, source: Source) -> None:
    """Record a receipt of one of our messages; one of an unknown message is counted and dropped.

    That message may not be stored yet: then polling brings its receipt.
    """
    matched = await _record(ctx, receipt)
    RECEIPTS.labels(receipt.status if matched else "unmatched", source).inc()


async def poll(ctx: Context) -> None:
    """Ask the gateway for the receipts that are due."""
    poll_after = ctx.policy.receipts.poll_after

    def claim(tx: Connection, now: float, limit: int) -> Sequence[AnyRow]:
        of_sends = receipts.claim(tx, now, poll_after=poll_after, limit=limit)
        left = limit - len(of_sends)
        return [*of_sends, *notification_receipts.claim(tx, now, poll_after=poll_after, limit=left)]

    await lease_worker.work(ctx, concurrency=CONCURRENCY, is_due=_is_due, claim=claim, handle=partial(_ask, ctx))


def _is_due(tx: Connection, now: float) -> bool:
    return receipts.QUEUE.is_due(tx, now) or notification_receipts.QUEUE.is_due(tx, now)


async def _record(ctx: Context, receipt: Receipt) -> bool:
    """Record a receipt; False if it is about no message that we know."""
    digests = message_ids.digests(ctx.vault, receipt.message_id)
    message = await ctx.database.read(lambda tx: _find(tx, digests))
    if message is None:
        return await _match(ctx, receipt)
    if message.standing in _lower(receipt.status):
        await ctx.database.write(lambda tx: _update_status(ctx, tx, message, receipt.status))
        _record_for_decoys(ctx, message, receipt.status)
    return True


def _find(tx: Connection, digests: Sequence[str]) -> AnyRow | None:
    return receipts.find(tx, digests) or notification_receipts.find(tx, digests)


def _record_for_decoys(ctx: Context, message: AnyRow, status: DeliveryStatus) -> None:
    """Let decoys imitate the final receipt of a PIN."""
    if status in FINAL and message.verification_id is not None and message.finished_at is not None:
        ctx.recent_sends.record_receipt(max(0.0, ctx.clock.now() - message.finished_at), status)


async def _match(ctx: Context, receipt: Receipt) -> bool:
    """Record a receipt of a message whose id the gateway never named, if it can only be about one.

    The digits of the PIN are not compared: whoever can write receipts could try out PINs.
    """
    if receipt.to is None or receipt.text is None:
        return False
    # If all countries are served, a number without calling code could be of any: polling brings its receipt.
    spellings = phone.spellings(receipt.to, ctx.countries or frozenset())
    digests = [digest for each in spellings for digest in numbers.lookup_digests(ctx.vault, each).values()]
    since = ctx.clock.now() - MATCHED_SECONDS
    sends = await ctx.database.read(lambda tx: receipts.without_id(tx, digests, since))
    alike = [send for send in sends if _is_text_of(ctx.policy, send, receipt.text)]
    if len(alike) != 1 or alike[0].outcome is None:
        return False
    identified = await ctx.database.write(lambda tx: _identify(ctx, tx, alike[0], receipt))
    if identified:
        _record_for_decoys(ctx, alike[0], receipt.status)
    return identified


def _identify(ctx: Context, tx: Connection, send: AnyRow, receipt: Receipt) -> bool:
    receipts.lock_verification(tx, send.verification_id)
    if not receipts.identify(tx, send.id, message_ids.columns_of(ctx.vault, receipt.message_id)):
        return False
    _update_status(ctx, tx, send, receipt.status)
    return True


def _update_status(ctx: Context, tx: Connection, message: AnyRow, status: DeliveryStatus) -> None:
    """Record what became of a message unless something more certain is known. `message`: as storage returned it."""
    over, final = _lower(status), status in FINAL
    if message.verification_id is None:
        notification_receipts.update_status(tx, message.id, status, over=over, final=final, now=ctx.clock.now())
        return
    receipts.lock_verification(tx, message.verification_id)
    # Read after the wait for the lock: events are listed by their time.
    now = ctx.clock.now()
    if receipts.update_status(tx, message.id, status, over=over, final=final):
        receipts.update_delivery_status(tx, message.verification_id, message.id, status, now=now)
        events.add(tx, message.verification_id, now=now, kind="receipt", result=status, route=message.route)


def _lower(status: DeliveryStatus) -> Sequence[DeliveryStatus]:
    return RANKS[: RANKS.index(status)]


def _is_text_of(policy: Policy, send: AnyRow, text: str | None) -> bool:
    """Return whether `text` can be what was sent. `send`: with the `purpose` and `pin_length` of its verification."""
    purpose = policy.purposes.get(send.purpose)
    if purpose is None or text is None:
        return False
    facts = {"pin_length": send.pin_length, "brand": purpose.brand}
    return any(texts.reads_like(text, template, **facts) for template in purpose.text.values())


async def _ask(ctx: Context, row: AnyRow) -> bool:
    if row.decoy:
        await _imitate_receipt(ctx, row)
        return True
    message_id = message_ids.read(ctx.vault, row.message_sealed)
    if message_id is not None:
        await _ask_for_message(ctx, message_id)
    elif (to := numbers.open_number(ctx.vault, row.sealed)) is not None:
        await _ask_for_report(ctx, row, to)
    return True


async def _imitate_receipt(ctx: Context, decoy: AnyRow) -> None:
    """Give a decoy the receipt that a real message would have by now, if real ones get any."""
    drawn = ctx.recent_sends.draw_receipt()
    if drawn is not None:
        await ctx.database.write(lambda tx: _update_status(ctx, tx, decoy, drawn[1]))


async def _ask_for_message(ctx: Context, message_id: str) -> None:
    got = await ctx.gateway.receipt(message_id, ctx.gateway_timeout)
    ctx.gateway_health.record_read("getMessage", got)
    if isinstance(got, Receipt):
        await record(ctx, got, "poll")


async def _ask_for_report(ctx: Context, send: AnyRow, to: str) -> None:
    """Find a message whose id the gateway never named in its report on the number since the send."""
    since, until = send.started_at - EARLIER_SECONDS, ctx.clock.now()
    got = await ctx.gateway.report(to, since, until, ctx.gateway_timeout)
    ctx.gateway_health.record_read("messageReport", got)
    if isinstance(got, NoReply):
        return
    alike = [receipt for receipt in got if _is_text_of(ctx.policy, send, receipt.text)]
    known = await ctx.database.read(lambda tx: _known(ctx, tx, alike))
    unknown = {receipt.message_id for receipt in alike} - known
    for receipt in alike:
        if receipt.message_id in known or len(unknown) == 1:
            await record(ctx, receipt, "poll")


def _known(ctx: Context, tx: Connection, found: Sequence[Receipt]) -> set[str]:
    """Return the ids of these receipts that are about messages of ours."""
    ids = {receipt.message_id for receipt in found}
    return {each for each in ids if _find(tx, message_ids.digests(ctx.vault, each)) is not None}
