"""Screening: the guard reads the rows of a message, decides, and says what to keep beside the send."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.guard.keys import Key, Kind
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.guard.rules import Decision, Reason, decide
from otp_service.services.context import Context
from otp_service.services.guard import decisions, keys, lists
from otp_service.services.guard.decisions import DENIED, Blocked, NewDecision
from otp_service.services.guard.keys import KeyedRequest
from otp_service.storage.guard import rows as stored_rows
from otp_service.storage.guard.decisions import REFUSED, SENT

T = TypeVar("T")


@dataclass(frozen=True)
class ScreeningRequest:
    """What the guard is asked about. `known_since`: when client, number and subject were first approved together.

    `is_decoy`: nothing will be sent, so it is decided as a message and counted nowhere.
    """

    client_id: str
    to: str = field(repr=False)
    purpose: str
    subject: str | None
    address_digest: str | None
    network_digest: str | None
    known_since: float | None
    is_decoy: bool


@dataclass(frozen=True)
class Screened:
    """A message that may be sent. `keyed`: what is counted; `recorded`: a decision of a rule that only records."""

    keyed: KeyedRequest
    recorded: NewDecision | None = None


class GuardColumns(NamedTuple):
    """What the row of a send keeps: the `keys` of the rows that an approval changes, the `pseudonym` for an export."""

    keys: str | None = None
    pseudonym: str | None = None


NO_COLUMNS = GuardColumns()


def _request_of(message: ScreeningRequest, now: float) -> Request:
    """Return the request that the rules see."""
    return Request(
        at=now,
        client=message.client_id,
        number=message.to,
        country=phone.parse(message.to).region,
        address=message.address_digest,
        subject=message.subject or "",
    )


def guard_columns(ctx: Context, screened: Screened) -> GuardColumns:
    """Return what the row of a send keeps."""
    keyed = screened.keyed
    # No key contains a line break.
    return GuardColumns("\n".join(keyed.keys), keys.pseudonym(ctx.vault, keyed.request.number))


def screen(tx: Connection, ctx: Context, message: ScreeningRequest, now: float) -> Screened | None:
    """Decide about a message; return what to count once this transaction is committed, None if nothing. Raises Blocked.

    A decision of a rule that only records is kept in this transaction.
    """
    request, policy = _request_of(message, now), ctx.policy.guard
    verdict = ctx.guard_lists.verdict(message.to, now)
    if verdict == lists.DENY:
        raise Blocked(_new_decision(message, request, (), DENIED, "enforce"))
    if policy.mode == "off":
        return None
    keyed = keys.keyed(ctx.vault, request)
    if verdict == lists.ALLOW:
        return None if message.is_decoy else Screened(keyed)
    decision = decide(request, _rows(tx, keyed, message), policy.strictness, policy.rules_off)
    found = _decision_from(ctx, message, request, decision) if decision.blocked else None
    if found is not None and found.mode == "enforce":
        raise Blocked(found)
    if message.is_decoy:
        return None
    if found is not None:
        decisions.record(tx, ctx, found, SENT)
    return Screened(keyed, found)


def count_sent(ctx: Context, screened: Screened) -> None:
    """Count a message whose transaction is committed, and the decision recorded with it."""
    ctx.guard_counts.sent(screened.keyed)
    if screened.recorded is not None:
        decisions.log_and_count(screened.recorded, SENT)


def _rows(tx: Connection, keyed: KeyedRequest, message: ScreeningRequest) -> dict[Key, Row]:
    stored = stored_rows.read(tx, list(keyed.keys))
    found = {keyed.keys[text]: keys.parse_row(state) for text, state in stored.items()}
    person = next(key for key in keyed.keys.values() if key.kind is Kind.PERSON)
    if message.subject is not None:  # its row may have begun anew under another secret key, or outlive an erasure
        found[person] = replace(found.get(person, Row()), proved=message.known_since or 0.0)
    return found


def _decision_from(ctx: Context, message: ScreeningRequest, request: Request, decision: Decision) -> NewDecision:
    modes = {reason.rule: ctx.policy.guard.mode_of(reason.rule) for reason in decision.reasons}
    rule = next((rule for rule, mode in modes.items() if mode == "enforce"), decision.reasons[0].rule)
    return _new_decision(message, request, decision.reasons, rule, modes[rule])


def _new_decision(
    message: ScreeningRequest, request: Request, reasons: tuple[Reason, ...], rule: str, mode: str
) -> NewDecision:
    return NewDecision(
        id=decisions.new_id(),
        request=request,
        purpose=message.purpose,
        network_digest=message.network_digest,
        rule=rule,
        mode=mode,
        reasons=reasons,
        # What an operator denies says nothing about the client.
        is_counted=rule != DENIED and not message.is_decoy,
    )


async def write_screened(ctx: Context, step: Callable[[Connection], T], *, action: str = REFUSED) -> T:
    """Run a transaction that screens a message. Refusal: `blocked`, of which only the decision is kept and counted."""
    try:
        return await ctx.database.write(step)
    except Blocked as blocked:
        decision = blocked.decision
        await ctx.database.write(lambda tx: decisions.record(tx, ctx, decision, action))
        decisions.log_and_count(decision, action)
        if decision.is_counted:
            ctx.guard_counts.blocked(keys.keyed(ctx.vault, decision.request))
        raise decisions.refusal(decision) from None
