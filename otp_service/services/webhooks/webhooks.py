"""The webhooks of a client: where it wants which events, and what became of the last ones."""

import secrets
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.errors import FieldError, Refusal, require
from otp_service.gateways.webhooks import BadUrlError
from otp_service.services.clients import idempotency
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.context import Context
from otp_service.services.webhooks import messages
from otp_service.storage import webhooks
from otp_service.storage.queues import webhook_deliveries
from otp_service.vault import SealedFor

MOST_PER_CLIENT = 10
FORMER_SECRET_SECONDS = 86400.0
"""How long the former secret still signs."""
MOST_REPLAYED = 1000
_SHOWN_STATUS = {"sending": "pending"}


@dataclass(frozen=True)
class Webhook:
    """A webhook as its client sees it. `secret`: only of a new one."""

    id: str
    url: str = field(repr=False)
    events: list[str]
    status: str
    created_at: float
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Delivery:
    """An event for a webhook, and what came of it. `next_at`: the next try, None if there is none."""

    id: str
    type: str
    status: str
    attempts: int
    last_status_code: int | None
    last_error: str | None
    next_at: float | None
    created_at: float


async def create(
    ctx: Context, client_id: str, url: str, events: list[str], idempotent: IdempotentRequest | None = None
) -> Webhook:
    """Add a webhook and return it with its secret. Refusals: `invalid`, `too_many_webhooks`."""
    secret, wanted = messages.new_secret(), list(dict.fromkeys(events))
    sealed = ctx.vault.seal(SealedFor.WEBHOOK, secret.encode())
    new = {"id": f"whk_{secrets.token_urlsafe(16)}", "client_id": client_id, "url": url, "status": webhooks.ACTIVE}

    def step(tx: Connection) -> float:
        idempotency.lock(tx, idempotent)
        webhooks.lock_client(tx, client_id)
        if webhooks.count(tx, client_id) >= MOST_PER_CLIENT:
            raise Refusal("too_many_webhooks", f"A client has at most {MOST_PER_CLIENT} webhooks; delete one first.")
        now = ctx.clock.now()
        webhooks.insert(tx, {**new, "events": " ".join(wanted), "created_at": now, "secret_sealed": sealed})
        return now

    # One at a time for each client: names that do not resolve must not take the resolver from others.
    async with ctx.concurrency.turn(client_id, client_id):
        await _check(ctx, url)
        created_at = await ctx.database.write(step)
    return Webhook(new["id"], url, wanted, webhooks.ACTIVE, created_at, secret)


async def _check(ctx: Context, url: str) -> None:
    try:
        await ctx.webhooks.check(url)
    except BadUrlError as error:
        wrong = FieldError("url", str(error))
        raise Refusal("invalid", "Invalid fields; see `errors`.", errors=[wrong]) from None


async def list_all(ctx: Context, client_id: str) -> list[Webhook]:
    """Return the webhooks of a client, oldest first."""
    with ctx.concurrency.of_client(client_id):
        return [_shown(row) for row in await ctx.database.read(lambda tx: webhooks.of_client(tx, client_id))]


async def read(ctx: Context, client_id: str, webhook_id: str) -> Webhook:
    """Return a webhook. Refusal: `not_found`."""
    with ctx.concurrency.of_client(client_id):
        return _shown(await ctx.database.read(lambda tx: require_webhook(tx, webhook_id, client_id)))


async def delete(ctx: Context, client_id: str, webhook_id: str) -> None:
    """Delete a webhook; what waits for it is not posted any more. Refusal: `not_found`."""

    def step(tx: Connection) -> None:
        require_webhook(tx, webhook_id, client_id)
        webhooks.delete(tx, webhook_id)

    async with ctx.concurrency.turn(client_id, webhook_id):
        await ctx.database.write(step)


async def replace_secret(
    ctx: Context, client_id: str, webhook_id: str, idempotent: IdempotentRequest | None = None
) -> str:
    """Return a new secret; the present one signs too for a day. Refusal: `not_found`."""
    secret = messages.new_secret()
    sealed = ctx.vault.seal(SealedFor.WEBHOOK, secret.encode())

    def step(tx: Connection) -> None:
        idempotency.lock(tx, idempotent)
        require_webhook(tx, webhook_id, client_id)
        former_until = ctx.clock.now() + FORMER_SECRET_SECONDS
        webhooks.replace_secret(tx, webhook_id, sealed, former_until=former_until)

    async with ctx.concurrency.turn(client_id, webhook_id):
        await ctx.database.write(step)
    return secret


async def deliveries(ctx: Context, client_id: str, webhook_id: str) -> list[Delivery]:
    """Return the last events of a webhook, newest first. Refusal: `not_found`."""

    def step(tx: Connection) -> list[Delivery]:
        require_webhook(tx, webhook_id, client_id)
        return [_delivery(row) for row in webhook_deliveries.newest(tx, webhook_id)]

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


async def replay(
    ctx: Context, client_id: str, webhook_id: str, delivery_id: str, idempotent: IdempotentRequest | None = None
) -> Delivery:
    """Post an event again, with all its tries. Refusals: `not_found`, `webhook_disabled`."""

    def step(tx: Connection) -> Delivery:
        idempotency.lock(tx, idempotent)
        if require_webhook(tx, webhook_id, client_id).status != webhooks.ACTIVE:
            detail = "The webhook is disabled. Fix the receiver, then POST .../test: success enables the webhook."
            raise Refusal("webhook_disabled", detail)
        webhook_deliveries.replay(tx, webhook_id, delivery_id, ctx.clock.now())
        return _delivery(require(webhook_deliveries.read(tx, webhook_id, delivery_id), "delivery"))

    async with ctx.concurrency.turn(client_id, webhook_id):
        delivery = await ctx.database.write(step)
    ctx.wakes.webhooks.set()
    return delivery


def require_webhook(tx: Connection, webhook_id: str, client_id: str | None = None) -> AnyRow:
    """Return the row of a webhook. Refusal: `not_found`."""
    return require(webhooks.read(tx, webhook_id, client_id), "webhook")


async def list_for_operator(database: Database) -> list[tuple[str, AnyRow]]:
    """Return every webhook with the name of its client."""
    return [(row.name, row) for row in await database.read(webhooks.list_all)]


async def list_failed_for_operator(database: Database) -> list[tuple[str, AnyRow, int]]:
    """Return every webhook of clients that are not revoked: the client's name, the webhook, how many events failed."""

    def step(tx: Connection) -> list[tuple[str, AnyRow, int]]:
        rows = [row for row in webhooks.list_all(tx) if row.revoked_at is None]
        return [(row.name, row, webhook_deliveries.count_failed(tx, row.id)) for row in rows]

    return await database.read(step)


async def show_for_operator(database: Database, webhook_id: str) -> tuple[AnyRow, list[Delivery]]:
    """Return a webhook and its last events. Refusal: `not_found`."""

    def step(tx: Connection) -> tuple[AnyRow, list[Delivery]]:
        return require_webhook(tx, webhook_id), [_delivery(row) for row in webhook_deliveries.newest(tx, webhook_id)]

    return await database.read(step)


async def replay_for_operator(database: Database, clock: Clock, webhook_id: str, delivery_id: str | None) -> int:
    """Post one event again, or all that failed, and enable the webhook; return how many. Refusal: `not_found`."""

    def step(tx: Connection) -> int:
        require_webhook(tx, webhook_id)
        if delivery_id is not None:
            require(webhook_deliveries.read(tx, webhook_id, delivery_id), "delivery")
        ids = [delivery_id] if delivery_id else webhook_deliveries.failed(tx, webhook_id, MOST_REPLAYED)
        webhooks.enable(tx, webhook_id)
        for each in ids:
            webhook_deliveries.replay(tx, webhook_id, each, clock.now())
        return len(ids)

    return await database.write(step)


def _shown(row: AnyRow) -> Webhook:
    return Webhook(row.id, row.url, row.events.split(" "), row.status, row.created_at)


def _delivery(row: AnyRow) -> Delivery:
    return Delivery(
        id=row.id,
        type=row.type,
        status=_SHOWN_STATUS.get(row.status, row.status),
        attempts=row.tries,
        last_status_code=row.last_status_code,
        last_error=row.last_error,
        next_at=row.due_at,
        created_at=row.created_at,
    )
