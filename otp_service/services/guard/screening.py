"""Screening: the guard reads the rows of a message, decides, and says what to keep beside the send."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.guard.keys import Key, Kind
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.guard.rules import Decision, Reason, decide
from otp_service.services.context import Context
from otp_service.services.guard import decisions, keys, lists
from otp_service.services.guard.decisions import Blocked, NewDecision
from otp_service.services.guard.keys import KeyedRequest
from otp_service.storage.guard import rows as stored_rows
from otp_service.storage.guard.decisions import REFUSED, SENT

T = TypeVar("T")
DENIED = "deny"
"""The rule of a decision that an operator's list made."""


@dataclass(frozen=True)
class ScreenedMessage:
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
    is_decoy: bool = False


def _request_of(message: ScreenedMessage, now: float) -> Request:
    """Return the request that the rules see."""
    return Request(
        at=now,
        client=message.client_id,
        number=message.to,
        country=phone.parse(message.to).region,
        address=message.address_digest,
        subject=message.subject or "",
    )


def guard_columns(ctx: Context, keyed: KeyedRequest) -> dict[str, str]:
    """Return the columns of a send that find its rows after an approval, and that an export shows."""
    return {
        "guard_keys": "\n".join(keyed.keys),  # none of them contains a line break
        "pseudonym": keys.pseudonym(ctx.vault, keyed.request.number),
    }


def screen(tx: Connection, ctx: Context, message: ScreenedMessage, now: float) -> KeyedRequest | None:
    """Decide about a message; return the request to count once it is sent, None if nothing is counted. Raises Blocked.

    A decision of a rule that only records is kept in this transaction.
    """
    request, policy = _request_of(message, now), ctx.policy.guard
    verdict = ctx.guard_lists.verdict(message.to, now)
    if verdict == lists.DENY:
        raise Blocked(_new_decision(message, request, (), DENIED, "enforce"))
    if policy.mode == "off":
        return None
    keyed = keys.keyed(ctx.vault, request)
    counted = None if message.is_decoy else keyed
    if verdict == lists.ALLOW:
        return counted
    decision = decide(request, _rows(tx, keyed, message), policy.strictness, policy.rules_off)
    if decision.blocked:
        found = _decision_from(ctx, message, request, decision)
        if found.mode == "enforce":
            raise Blocked(found)
        if counted is not None:
            decisions.record(tx, ctx, found, SENT)
            decisions.log_and_count(found, SENT)
    return counted


def _rows(tx: Connection, keyed: KeyedRequest, message: ScreenedMessage) -> dict[Key, Row]:
    stored = stored_rows.read(tx, list(keyed.keys))
    found = {keyed.keys[text]: keys.parse_row(state) for text, state in stored.items()}
    person = next(key for key in keyed.keys.values() if key.kind is Kind.PERSON)
    if message.subject is not None:  # its row may have begun anew under another secret key, or outlive an erasure
        found[person] = replace(found.get(person, Row()), proved=message.known_since or 0.0)
    return found


def _decision_from(ctx: Context, message: ScreenedMessage, request: Request, decision: Decision) -> NewDecision:
    modes = {reason.rule: ctx.policy.guard.mode_of(reason.rule) for reason in decision.reasons}
    rule = next((rule for rule, mode in modes.items() if mode == "enforce"), decision.reasons[0].rule)
    return _new_decision(message, request, decision.reasons, rule, modes[rule])


def _new_decision(
    message: ScreenedMessage, request: Request, reasons: tuple[Reason, ...], rule: str, mode: str
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
