"""Subjects with factors, recovery codes and devices, put directly into the database."""

import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.services.factors import totp
from otp_service.services.factors.recovery_codes import new_code
from otp_service.storage import numbers, tables
from otp_service.storage.factors import devices, factors, recovery_codes, subjects
from otp_service.vault import SealedFor
from tests.support.service import Service


async def client_id_of(service: Service) -> str:
    """Returns the id of the first client."""
    return await service.ctx.database.read(lambda tx: str(tx.scalar(sa.select(tables.clients.c.id))))


async def add_factor(service: Service, subject: str, values: dict[str, Any], to: str | None = None) -> str:
    """Adds a factor to a subject, and the subject if it is new; returns the id of the factor."""
    ctx, client_id, factor_id = service.ctx, await client_id_of(service), f"fac_{secrets.token_urlsafe(16)}"

    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        subject_id = subjects.lock(tx, client_id, subject, now=now)
        row = {"id": factor_id, "subject_id": subject_id, "created_at": now, **values}
        if to is not None:
            row["number_id"] = numbers.upsert(tx, ctx.vault, to, seen_until=now)
            row["number_masked"] = phone.mask(to)
        factors.insert(tx, row)
        subjects.record_use(tx, subject_id, now)

    await ctx.database.write(step)
    return factor_id


async def add_totp(service: Service, subject: str, *, is_verified: bool = True, step: int | None = None) -> str:
    """Adds an authenticator app; returns its id. `step`: the last one that was accepted."""
    sealed = service.ctx.vault.seal(SealedFor.TOTP_SECRET, totp.new_secret())
    status = "active" if is_verified else "unverified"
    last_step = totp.newest_step(service.ctx.clock.now()) if step is None else step
    values = {
        "type": "totp",
        "status": status,
        "secret_sealed": sealed,
        "last_step": last_step if is_verified else None,
    }
    return await add_factor(service, subject, values)


async def add_phone(service: Service, subject: str, to: str) -> str:
    """Adds a phone; returns its id."""
    return await add_factor(service, subject, {"type": "sms", "status": "active"}, to)


async def remove_factor(service: Service, subject: str, factor_id: str) -> None:
    """Removes a factor of a subject."""
    ctx, client_id = service.ctx, await client_id_of(service)

    def step(tx: Connection) -> None:
        subject_id = subjects.lock(tx, client_id, subject, now=ctx.clock.now())
        factors.delete(tx, factor_id)
        subjects.record_use(tx, subject_id, ctx.clock.now())

    await ctx.database.write(step)


async def add_codes(service: Service, subject: str, count: int = 2) -> Sequence[str]:
    """Gives a subject recovery codes."""
    ctx, client_id = service.ctx, await client_id_of(service)
    codes = [new_code() for _ in range(count)]

    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        subject_id = subjects.lock(tx, client_id, subject, now=now)
        recovery_codes.replace(tx, subject_id, [ctx.vault.fingerprint(code.encode()) for code in codes])
        subjects.record_codes(tx, subject_id, now)

    await ctx.database.write(step)
    return codes


async def add_device(service: Service, subject: str, lifetime: float = 3600.0) -> str:
    """Remembers a device of a subject; returns its id."""
    ctx, client_id, device_id = service.ctx, await client_id_of(service), f"dev_{secrets.token_urlsafe(16)}"

    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        subject_id = subjects.lock(tx, client_id, subject, now=now)
        digest = ctx.vault.fingerprint(device_id.encode())
        devices.insert(tx, device_id, subject_id, digest, now=now, expires_at=now + lifetime)

    await ctx.database.write(step)
    return device_id


async def fail_checks(service: Service, subject: str, kind: str, *, wait: float = 0.0) -> None:
    """Counts wrong checks at a subject."""
    ctx, client_id = service.ctx, await client_id_of(service)

    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        subject_id = subjects.lock(tx, client_id, subject, now=now)
        row = {"subject_id": subject_id, "kind": kind, "checks": 9, "waits_until": now + wait if wait else 0.0}
        tx.execute(sa.insert(tables.subject_failures).values(row | {"last_at": now})).close()

    await ctx.database.write(step)
