"""What a text from a person does: STOP, START, HELP, or the phrase of an inbound verification. No text is kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from otp_service import phone, texts
from otp_service.database.statements import AnyRow
from otp_service.errors import Refusal
from otp_service.gateways.base import Inbound
from otp_service.phone import PhoneNumber
from otp_service.services import numbers
from otp_service.services.context import Context
from otp_service.services.inbound import keywords, phrases
from otp_service.services.notifications import notifications as replies
from otp_service.services.opt_outs import opt_outs as service
from otp_service.services.verifications.representation import PHRASE
from otp_service.storage import campaign_messages, inbound_cursor, opt_outs
from otp_service.storage.limits import buckets, failures
from otp_service.storage.limits.buckets import Unit
from otp_service.storage.verifications import events, verifications

ECHO_SECONDS = 3600.0
"""So long what the campaign platform was told is expected to come back as a text, in time in which the list is read."""
LISTED_SECONDS = 86400.0
"""So long a callback can be late: after the list showed a word of a number, the list alone counts."""
HELP_SECONDS = 86400.0


@dataclass(frozen=True)
class InboundText:
    """A text as it is understood. `kind`: `ignored` where nobody who takes SMS sent it, `other` where it says nothing
    that can be told without the database. `is_late`: newer ones of the list have had their effects."""

    kind: str
    number: PhoneNumber | None
    text: str = field(repr=False)
    is_late: bool = False


def understood(inbound: Inbound) -> InboundText:
    """What a text says, as far as that is known without the database."""
    try:
        number = phone.parse(inbound.sender)
    except Refusal:
        return InboundText("ignored", None, inbound.text)
    return InboundText(keywords.kind_of(inbound.text) or "other", number, inbound.text)


def apply_all(tx: Connection, ctx: Context, listed: Sequence[InboundText], looked_at: float | None) -> Counter[str]:
    """The effects of texts that the gateway's list shows, oldest first; how many of each kind.

    `looked_at`: when the list was last read to its end. None: these are from before we first did; HELP is not answered
    then, START lifts no opt-out of a client.
    """
    now = ctx.clock.now()
    kinds: Counter[str] = Counter()
    for word in listed:
        if word.number is not None and word.kind in ("stop", "start"):
            kinds[_stop_or_start(tx, ctx, word, word.number, now, looked_at)] += 1
        elif word.number is not None and word.kind == "help" and looked_at is not None and not word.is_late:
            _help(tx, ctx, word, word.number, now)
            kinds[word.kind] += 1
        elif word.kind != "other":
            kinds[word.kind] += 1
    # After all numbers, in the order of the locks.
    kinds.update(_phrase(tx, ctx, word, word.number, now) for word in listed if word.number and word.kind == "other")
    return kinds


def apply_callback(tx: Connection, ctx: Context, word: InboundText, now: float) -> str:
    """What a callback brought: STOP acts at once, unless the list may know better; the rest waits for the list.

    Where the list is never read, STOP and START act by callback alone. Returns the kind.
    """
    if word.number is None or word.kind not in ("stop", "start"):
        return word.kind
    if not ctx.policy.inbound.poll_every:
        return _stop_or_start(tx, ctx, word, word.number, now, now)
    number_id = _number_id(tx, ctx, word.kind, word.number, now)
    if number_id is None:
        return word.kind
    if _told(tx, number_id, word, inbound_cursor.looked_at(tx) or now):
        return "echo"
    if word.kind == "stop" and not _listed_lately(tx, number_id, now):
        service.stop(tx, number_id, now)
    return word.kind


def _listed_lately(tx: Connection, number_id: int, now: float) -> bool:
    row = opt_outs.read(tx, number_id)
    return row is not None and row.listed_at is not None and row.listed_at > now - LISTED_SECONDS


def _told(tx: Connection, number_id: int, word: InboundText, looked_at: float) -> list[AnyRow]:
    """What the campaign platform was told of the number and would come back as this very text: as long after it as the
    list has been read."""
    sent = campaign_messages.sent(tx, number_id, looked_at - ECHO_SECONDS)
    return [row for row in sent if row.keyword.upper() == word.text.strip().upper()]


def _stop_or_start(
    tx: Connection, ctx: Context, word: InboundText, number: PhoneNumber, now: float, looked_at: float | None
) -> str:
    number_id = _number_id(tx, ctx, word.kind, number, now)
    if number_id is None or (word.kind == "start" and word.is_late):
        return word.kind
    told = _told(tx, number_id, word, now if looked_at is None else looked_at)
    echoed = next((row for row in told if row.echoed_at is None), None)
    if echoed is None:
        _act(tx, number_id, word.kind, now=now, is_history=looked_at is None)
    opt_outs.note_listed(tx, number_id, now)
    if echoed is None:
        return word.kind
    campaign_messages.record_echo(tx, echoed.id, now)
    return "echo"


def _number_id(tx: Connection, ctx: Context, kind: str, number: PhoneNumber, now: float) -> int | None:
    """The number's id, its row held; None where START comes from one that never opted out."""
    if kind == "start" and numbers.find(tx, ctx.vault, number.e164) is None:
        return None
    return numbers.hold(tx, ctx.vault, number.e164, seen_until=now)


def _act(tx: Connection, number_id: int, kind: str, *, now: float, is_history: bool) -> None:
    if kind == "stop":
        service.stop(tx, number_id, now)
    else:
        service.start(tx, number_id, now, source=opt_outs.USER if is_history else None)


def _help(tx: Connection, ctx: Context, word: InboundText, number: PhoneNumber, now: float) -> None:
    """Answers, at most once a day, whom we may send to."""
    answer = texts.find(ctx.policy.inbound.help, keywords.help_locale(word.text) or "")
    if answer is None or not _is_served(ctx, number):
        return
    number_id = numbers.hold(tx, ctx.vault, number.e164, seen_until=now)
    once_a_day = Unit("inbound_help", f"inbound_help:{number_id}", HELP_SECONDS, 1)
    if not opt_outs.is_out(tx, number_id) and buckets.reserve(tx, [once_a_day], now):
        replies.queue_reply(tx, ctx, number_id=number_id, e164=number.e164, text=answer, now=now)


def _is_served(ctx: Context, number: PhoneNumber) -> bool:
    try:
        phone.check_country(number, ctx.countries)
    except Refusal:
        return False
    return True


def _phrase(tx: Connection, ctx: Context, word: InboundText, number: PhoneNumber, now: float) -> str:
    """Approves the inbound verification whose phrase the claimed number has texted, while it is pending."""
    waiting = (
        verifications.awaiting_text(tx, numbers.digests(ctx.vault, number.e164))
        if phrases.is_like_one(word.text)
        else []
    )
    for row in waiting:
        phrase = ctx.vault.open(PHRASE, row.phrase_sealed)
        if phrase is not None and phrases.same(phrase.decode(), word.text):
            return _approve(tx, row, now)
    return word.kind


def _approve(tx: Connection, row: AnyRow, now: float) -> str:
    ended = verifications.end(tx, row.id, status="approved", reason=None, now=now)
    if ended is None:
        return "late"
    failures.clear(tx, client_id=row.client_id, number_id=row.number_id, purpose=row.purpose)
    events.add(tx, row.id, now=now, kind="inbound", result="approved")
    return "phrase"
