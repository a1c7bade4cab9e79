"""Remembered devices: browsers and apps that pass a challenge without another check."""

import secrets

from sqlalchemy.engine import Connection

from otp_service.errors import not_found, require
from otp_service.observability.metrics import FACTORS
from otp_service.services.context import Context
from otp_service.services.factors import events
from otp_service.services.factors.representation import Device, represent_device
from otp_service.storage.factors import devices, subjects
from otp_service.storage.factors.subjects import Owner

KIND = "device"
"""The type of devices in metrics."""
_TOKEN_BYTES = 32
_USE = b"device "


async def list_all(ctx: Context, client_id: str, subject: str) -> list[Device]:
    """Return the devices of a subject, oldest first."""

    def step(tx: Connection) -> list[Device]:
        owner = subjects.find(tx, client_id, subject)
        return of_subject(tx, owner.id, subject, ctx.clock.now()) if owner is not None else []

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


def of_subject(tx: Connection, subject_id: int, subject: str, now: float) -> list[Device]:
    """Return the devices of a subject, oldest first, in the caller's transaction."""
    return [represent_device(row, subject) for row in devices.of_subject(tx, subject_id, now)]


async def revoke(ctx: Context, client_id: str, device_id: str) -> None:
    """Revoke a device. Refusal: `not_found`."""

    def step(tx: Connection) -> None:
        now = ctx.clock.now()
        row = require(devices.read(tx, client_id, device_id, now), "device")
        if not devices.delete(tx, device_id):
            raise not_found("device")
        events.record(tx, client_id, "device.revoked", represent_device(row, row.subject), now)

    async with ctx.concurrency.turn(client_id, device_id):
        await ctx.database.write(step)
    FACTORS.labels("revoked", KIND).inc()


async def revoke_all(ctx: Context, client_id: str, subject: str) -> None:
    """Revoke every device of a subject."""

    def step(tx: Connection) -> int:
        row = subjects.find(tx, client_id, subject)
        if row is None or subjects.lock_row(tx, row.id) is None:
            return 0
        return revoke_of_subject(tx, Owner(client_id, subject, row.id), ctx.clock.now())

    async with ctx.concurrency.turn_of_subject(client_id, subject):
        revoked = await ctx.database.write(step)
    FACTORS.labels("revoked", KIND).inc(revoked)


def revoke_of_subject(tx: Connection, owner: Owner, now: float) -> int:
    """Revoke every device of a subject and return how many, in a transaction that has locked the subject."""
    revoked = of_subject(tx, owner.id, owner.subject, now)
    devices.delete_of_subject(tx, owner.id)
    for device in revoked:
        events.record(tx, owner.client_id, "device.revoked", device, now)
    return len(revoked)


def add(tx: Connection, ctx: Context, owner: Owner, now: float) -> tuple[str, Device]:
    """Remember a device and return its token, which is not stored, in the caller's transaction."""
    token = f"otpd_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    expires_at = now + ctx.policy.factors.device_lifetime
    device = Device(f"dev_{secrets.token_urlsafe(16)}", owner.subject, now, expires_at, None)
    devices.insert(tx, device.id, owner.id, ctx.vault.fingerprint(_digest_input(token)), now=now, expires_at=expires_at)
    events.record(tx, owner.client_id, "device.added", device, now)
    return token, device


def use(tx: Connection, ctx: Context, subject_id: int, token: str, now: float) -> bool:
    """Record that a device of the subject was used; return False if the token is of none that is remembered."""
    return devices.use(tx, subject_id, ctx.vault.fingerprints(_digest_input(token)), now)


def _digest_input(token: str) -> bytes:
    return _USE + token.encode()
