"""Decisions: each request that a rule would block is stored; webhooks get the first one in an hour."""

import json
import secrets
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service.errors import Refusal
from otp_service.guard.keys import BLOCK_DIGITS
from otp_service.guard.requests import Request
from otp_service.guard.rules import Reason
from otp_service.observability.metrics import GUARD_DECISIONS
from otp_service.services.context import Context
from otp_service.services.guard import events, keys
from otp_service.services.guard.events import ALARM_SECONDS, Alarm
from otp_service.storage.guard import alarms, decisions

log = structlog.get_logger("otp_service.guard")

DENIED = "deny"
"""The rule of a decision that an operator's list made."""


@dataclass(frozen=True, slots=True)
class NewDecision:
    """What speaks against a request. `rule`: the one that decided, in its `mode`.

    `is_counted`: the rows of its client count it.
    """

    id: str
    request: Request = field(repr=False)
    purpose: str
    network_digest: str | None
    rule: str
    mode: str
    reasons: tuple[Reason, ...]
    is_counted: bool


class Blocked(Exception):
    """A request that the guard does not let through. It ends the transaction, which must leave nothing behind."""

    def __init__(self, decision: NewDecision) -> None:
        super().__init__("blocked")
        self.decision = decision


def new_id() -> str:
    """Return the id of a new decision."""
    return f"gd_{secrets.token_urlsafe(12)}"


def refusal(decision: NewDecision) -> Refusal:
    """Return the refusal of a blocked request. It gives no reason: reasons are the operator's."""
    detail = "The message was not sent. The operator can look up the decision."
    return Refusal("blocked", detail, decision=decision.id)


def record(tx: Connection, ctx: Context, decision: NewDecision, action: str) -> None:
    """Add a decision, and tell webhooks if its rule began to block in a country. `action`: what was done."""
    request = decision.request
    decisions.insert(
        tx,
        {
            "id": decision.id,
            "at": request.at,
            "client_id": request.client,
            "purpose": decision.purpose,
            "country": request.country,
            "prefix": request.number[:-BLOCK_DIGITS],
            "pseudonym": keys.pseudonym(ctx.vault, request.number),
            "network_digest": decision.network_digest,
            "rule": decision.rule,
            "reasons": json.dumps([_shown(reason) for reason in decision.reasons]),
            "mode": decision.mode,
            "action": action,
        },
    )
    _raise_alarm(tx, decision)


def log_and_count(decision: NewDecision, action: str) -> None:
    """Count and log a decision that is committed."""
    request = decision.request
    GUARD_DECISIONS.labels(decision.rule, decision.mode, request.country).inc()
    log.info("guard", decision=decision.id, rule=decision.rule, mode=decision.mode, action=action)


def _shown(reason: Reason) -> dict[str, object]:
    return {"rule": reason.rule, "row": str(reason.key.kind), "seen": reason.seen, "limit": reason.limit}


def _raise_alarm(tx: Connection, decision: NewDecision) -> None:
    request = decision.request
    key = f"{decision.rule}:{decision.mode}:{request.country}:{request.client}"
    if alarms.raise_once(tx, key, now=request.at, until=request.at + ALARM_SECONDS):
        alarm = Alarm(decision.rule, decision.mode, request.country)
        events.record(tx, request.client, alarm, request.at)
