"""What a text from a person does: STOP, START, HELP, or the phrase of an inbound verification. No text is kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service import phone, texts
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.gateways.base import InboundMessage
from otp_service.services.context import Context
from otp_service.services.limits import limits
from otp_service.services.notifications import notifications
from otp_service.services.opt_outs import keywords
from otp_service.services.opt_outs import opt_outs as service
from otp_service.services.verifications import phrases, proofs
from otp_service.storage import numbers, opt_outs
from otp_service.storage.guard import known_people
from otp_service.storage.limits import buckets, failures
from otp_service.storage.queues import campaign_messages
from otp_service.storage.verifications import events, verifications
from otp_service.storage.verifications import phrases as stored_phrases
from otp_service.vault import SealedFor

log = structlog.get_logger("otp_service.inbound")

STOP_ECHO_SECONDS, START_ECHO_SECONDS = 60.0, 3600.0
"""How long a keyword that was sent to the campaign platform may take to come back as a text.

In doubt a STOP is the person's, so its time is short, and a START is the echo.
"""
LATE_CALLBACK_SECONDS = 86400.0
"""How late a callback can be: after the list showed a keyword of a number, only the list counts for so long."""


@dataclass(frozen=True)
class UnderstoodText:
    """What a text says, as far as that is known without the database.

    `kind`: `stop`, `start`, `help`, `other`, or `ignored` if it is not from a phone; `locale`: of its keyword.
    `numbers`: every spelling of its sender. `sent_at`: the gateway's time. `is_out_of_order`: the list showed it below
    texts that have had their effects.
    """

    kind: str
    locale: str
    numbers: Sequence[str] = field(repr=False)
    text: str = field(repr=False)
    sent_at: float | None = None
    is_out_of_order: bool = False

    @property
    def is_sender_certain(self) -> bool:
        """Return whether all spellings are of one phone: a number without calling code can fit several countries."""
        return phone.same_country(self.numbers)


def understand(ctx: Context, inbound: InboundMessage) -> UnderstoodText:
    """Return what a text says, as far as that is known without the database."""
    keyword = keywords.find(inbound.text, ctx.policy.inbound)
    # Only what can have an effect is worth trying the number in every country.
    matters = keyword is not None or phrases.is_like_one(inbound.text)
    spellings = phone.spellings(inbound.sender, ctx.countries if matters else frozenset())
    kind, locale = (keyword.kind, keyword.locale) if keyword else ("other" if spellings else "ignored", "")
    return UnderstoodText(kind, locale, spellings, inbound.text, inbound.sent_at)


def apply_listed(
    tx: Connection, ctx: Context, listed: Sequence[UnderstoodText], list_read_at: float | None
) -> Counter[str]:
    """Apply the texts that the gateway's list shows, oldest first; return how many there were of each kind.

    `list_read_at`: when the list was last read to its end. None: these are older than the service; HELP is not answered
    then, and START lifts no opt-out of a client.
    """
    now = ctx.clock.now()
    kinds = Counter(_apply_keyword(tx, ctx, text, now, list_read_at) for text in listed if text.kind != "other")
    # After all numbers, in the order of the locks.
    kinds.update(_apply_phrase(tx, ctx, text, now) for text in listed if text.kind == "other")
    return kinds


def apply_callback(tx: Connection, ctx: Context, text: UnderstoodText, now: float) -> str:
    """Apply a text that a callback brought and return its kind: STOP acts at once, the rest when the list shows it.

    If the list is never read, STOP and START act by callback alone.
    """
    if text.kind not in ("stop", "start"):
        return text.kind
    if not ctx.policy.inbound.poll_every:
        return _apply_keyword(tx, ctx, text, now, now)
    return _apply_stop(tx, ctx, text, now, is_listed=False)[0] if text.kind == "stop" else text.kind


def _apply_keyword(tx: Connection, ctx: Context, text: UnderstoodText, now: float, list_read_at: float | None) -> str:
    inbound = ctx.policy.inbound
    if text.kind == "stop":
        kind, is_new = _apply_stop(tx, ctx, text, now, is_listed=True)
        if is_new and list_read_at is not None:
            confirmations = inbound.stop_confirmation
            answer = texts.find(confirmations, text.locale) or next(iter(confirmations.values()), None)
            _reply(tx, ctx, text, answer, now, confirms_stop=True)
        return kind
    if text.kind == "start" and not text.is_out_of_order:
        return _apply_start(tx, ctx, text, now, list_read_at)
    if text.kind == "help" and list_read_at is not None and not text.is_out_of_order:
        _reply(tx, ctx, text, texts.find(inbound.help, text.locale), now)
    return text.kind


def _apply_stop(tx: Connection, ctx: Context, text: UnderstoodText, now: float, *, is_listed: bool) -> tuple[str, bool]:
    """Opt the sender out; return the kind of the text, and whether it is the first STOP of this opt-out."""
    number_ids = _lock_numbers(tx, ctx, text, now, also_new=text.is_sender_certain)
    if not number_ids:
        sender = phone.mask(text.numbers[0]) if text.numbers else None
        log.warning("stop_without_number", sender=sender)
        return "stop_without_number", False
    is_new = _starts_new_opt_out(opt_outs.read(tx, number_ids[0]))
    kinds = [_opt_out_number(tx, ctx, text, number_id, now, is_listed=is_listed) for number_id in number_ids]
    return ("stop", is_new) if "stop" in kinds else (kinds[0], False)


def _starts_new_opt_out(row: AnyRow | None) -> bool:
    is_confirmed = row is not None and row.opted_out and row.source == opt_outs.USER
    return row is None or not is_confirmed or row.listed_at is None or row.listed_at < row.since


def _opt_out_number(
    tx: Connection, ctx: Context, text: UnderstoodText, number_id: int, now: float, *, is_listed: bool
) -> str:
    """Opt a number out unless the text is old, or is the platform's echo of a client's opt-out that is in force."""
    row = opt_outs.read(tx, number_id)
    if _is_older(text, row) or (not is_listed and _was_listed_lately(row, now)):
        return "old"
    sent_after = now - STOP_ECHO_SECONDS - ctx.policy.inbound.poll_every
    keyword = text.text.strip()
    echoed_id = campaign_messages.without_echo(tx, number_id, keyword, sent_after=sent_after, is_sure=True)
    confirms = echoed_id is not None and row is not None and row.opted_out
    if not confirms:
        service.add_by_user(tx, number_id, now)
    if is_listed:
        _record(tx, number_id, now, echo_of=echoed_id, texted_at=None if confirms else text.sent_at)
    return "echo" if confirms else "stop"


def _apply_start(tx: Connection, ctx: Context, text: UnderstoodText, now: float, list_read_at: float | None) -> str:
    if not text.is_sender_certain:  # or one person's START would lift the opt-out of another
        return "start"
    kinds = {
        _opt_in_number(tx, text, number_id, now, list_read_at)
        for number_id in _lock_numbers(tx, ctx, text, now, also_new=False)
    }
    return next(iter(kinds)) if len(kinds) == 1 else "start"


def _opt_in_number(tx: Connection, text: UnderstoodText, number_id: int, now: float, list_read_at: float | None) -> str:
    """Lift an opt-out unless the text is old or can be the platform's echo."""
    row = opt_outs.read(tx, number_id)
    if row is None or _is_older(text, row):
        return "start" if row is None else "old"
    sent_after = (now if list_read_at is None else list_read_at) - START_ECHO_SECONDS
    echoed_id = campaign_messages.without_echo(tx, number_id, text.text.strip(), sent_after=sent_after, is_sure=False)
    if echoed_id is None:
        service.lift_by_user(tx, number_id, now, source=opt_outs.USER if list_read_at is None else None)
    _record(tx, number_id, now, echo_of=echoed_id, texted_at=text.sent_at if echoed_id is None else None)
    return "start" if echoed_id is None else "echo"


def _record(tx: Connection, number_id: int, now: float, *, echo_of: int | None, texted_at: float | None) -> None:
    if echo_of is not None:
        campaign_messages.record_echo(tx, echo_of, now)
    opt_outs.record_listed(tx, number_id, now, texted_at=texted_at)


def _is_older(text: UnderstoodText, row: AnyRow | None) -> bool:
    """Return whether the person has sent a newer keyword, which has had its effect."""
    return (
        text.sent_at is not None
        and row is not None
        and row.texted_at is not None
        and bool(text.sent_at < row.texted_at)
    )


def _was_listed_lately(row: AnyRow | None, now: float) -> bool:
    return row is not None and row.listed_at is not None and row.listed_at > now - LATE_CALLBACK_SECONDS


def _lock_numbers(tx: Connection, ctx: Context, text: UnderstoodText, now: float, *, also_new: bool) -> list[int]:
    """Lock the rows of the sender's numbers, known ones and those we could send to; return their ids."""
    number_ids: list[int] = []
    for e164 in text.numbers:
        known = numbers.find_id(tx, ctx.vault, e164)
        if known is None and not (also_new and phone.is_sendable(e164)):
            continue
        if known not in number_ids:
            number_ids.append(numbers.upsert(tx, ctx.vault, e164, seen_until=now))
    return number_ids


def _reply(
    tx: Connection, ctx: Context, text: UnderstoodText, answer: str | None, now: float, *, confirms_stop: bool = False
) -> None:
    """Queue an automatic reply, at most one a day to each keyword, to a number that we may send to."""
    if answer is None or not text.is_sender_certain or not _is_served(ctx, text.numbers[0]):
        return
    number_id = numbers.upsert(tx, ctx.vault, text.numbers[0], seen_until=now)
    unit = limits.of_reply(text.kind, number_id)
    if (confirms_stop or not opt_outs.is_out(tx, number_id)) and buckets.reserve(tx, [unit], now):
        e164 = text.numbers[0]
        notifications.queue_reply(
            tx, ctx, number_id=number_id, e164=e164, text=answer, now=now, confirms_stop=confirms_stop
        )


def _is_served(ctx: Context, e164: str) -> bool:
    try:
        phone.parse_served(e164, ctx.countries)
    except Refusal:
        return False
    return True


def _apply_phrase(tx: Connection, ctx: Context, text: UnderstoodText, now: float) -> str:
    """Approve the inbound verification whose phrase the claimed number has texted, while it is pending."""
    if not text.is_sender_certain or not phrases.is_like_one(text.text):
        return text.kind
    digests = {digest for e164 in text.numbers for digest in numbers.lookup_digests(ctx.vault, e164).values()}
    phrase_digests = ctx.vault.fingerprints(phrases.digest_input(text.text))
    for row in stored_phrases.awaiting_text(tx, digests, phrase_digests):
        phrase = ctx.vault.open(SealedFor.PHRASE, row.phrase_sealed)
        if phrase is not None and phrases.same(phrase.decode(), text.text):
            return _approve(tx, ctx, row, now)
    return text.kind


def _approve(tx: Connection, ctx: Context, row: AnyRow, now: float) -> str:
    proof = proofs.new_proof(ctx, row.purpose, now)
    if verifications.approve_inbound(tx, row.id, proof=proof, now=now) is None:
        return "late"
    failures.clear(tx, row.id, client_id=row.client_id, purpose=row.purpose)
    if row.subject is not None:
        known_people.record(tx, number_id=row.number_id, client_id=row.client_id, subject=row.subject, at=now)
    events.add(tx, row.id, now=now, kind="inbound", result="approved")
    return "phrase"
