"""Ceilings: what messages may cost in an hour or a day of UTC, in total, per client and per country."""

from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.config.policy.guard import Ceiling, CeilingRules
from otp_service.database.statements import AnyRow
from otp_service.errors import Quota, Refusal
from otp_service.services.context import Context
from otp_service.storage.guard import ceilings
from otp_service.storage.guard.ceilings import Amount


def of_message(ctx: Context, *, client_id: str, e164: str, now: float) -> list[Amount]:
    """Return what a message costs under each ceiling."""
    rules, price = ctx.policy.guard.ceilings, ctx.policy.guard.micros_of(e164)
    if not price:
        return []
    country = phone.parse(e164).region if rules.country else ""
    scopes = (("total", "", rules.total), ("client", client_id, rules.client), ("country", country, rules.country))
    return [_amount(scope, of_whom, price, ceiling, now) for scope, of_whom, of_scope in scopes for ceiling in of_scope]


def _amount(scope: str, of_whom: str, price: int, ceiling: Ceiling, now: float) -> Amount:
    turn = int(now // ceiling.period)
    key = f"{scope}:{of_whom}:{ceiling.period}:{turn}"
    return Amount(key, scope, of_whom, price, ceiling.most, float((turn + 1) * ceiling.period))


def in_force(tx: Connection, rules: CeilingRules, now: float) -> list[AnyRow]:
    """Return what is reserved in the present hours and days, under the ceilings that the policy has."""
    return [row for row in ceilings.current(tx, now) if is_in_force(rules, row)]


def is_in_force(rules: CeilingRules, row: AnyRow) -> bool:
    """Return whether the policy has the ceiling of a row."""
    return any(ceiling.period == period_of(row.key) for ceiling in getattr(rules, row.scope))


def period_of(key: str) -> int:
    """Return the seconds of the period in which a stored price is reserved."""
    return int(key.split(":")[-2])


def reserve(tx: Connection, amounts: list[Amount], now: float) -> dict[str, int]:
    """Reserve the price of a message under all ceilings; return what is reserved, by the key of the ceiling.

    Refusal: `rate_limited`, naming the ceiling that is reached.
    """
    if not amounts:
        return {}
    reserved = ceilings.reserve(tx, amounts)
    missing = [amount for amount in amounts if amount.key not in reserved]
    if missing:
        raise _reached(max(missing, key=lambda amount: amount.ends_at), now)
    return {amount.key: amount.price for amount in amounts}


def _reached(amount: Amount, now: float) -> Refusal:
    limit, wait = f"ceiling_{amount.scope}", amount.ends_at - now
    detail = "What messages may cost is spent. The operator sets it in [guard.ceilings]."
    # No size: what the operator pays is not the caller's business.
    return Refusal("rate_limited", detail, retry_after=wait, quota=Quota(limit, 0, None, 0, wait))
