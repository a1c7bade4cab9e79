"""Factors, recovery codes and devices as their own client sees them. Times are seconds since the epoch."""

from dataclasses import dataclass

from otp_service.database.statements import AnyRow


@dataclass(frozen=True)
class Factor:
    """An enrolled means of a subject. `hint`: the end of a phone's number; `status`: unverified, active, locked."""

    id: str
    subject: str
    type: str
    name: str | None
    status: str
    hint: str | None
    preferred: bool
    created_at: float
    verified_at: float | None
    last_used_at: float | None


@dataclass(frozen=True)
class FactorChoice:
    """A factor that a challenge can be about."""

    id: str
    type: str
    name: str | None
    hint: str | None


@dataclass(frozen=True)
class RecoveryCodes:
    """How many recovery codes a subject has left, and when they were made."""

    remaining: int
    created_at: float | None


@dataclass(frozen=True)
class RecoveryCodeUse:
    """The use of a recovery code, as of an event."""

    subject: str
    remaining: int


@dataclass(frozen=True)
class Device:
    """A browser or app that a subject asked to remember."""

    id: str
    subject: str
    created_at: float
    expires_at: float
    last_used_at: float | None


def represent(row: AnyRow, subject: str, *, is_locked: bool) -> Factor:
    """Return the factor of a row with `factors.COLUMNS`. `is_locked`: its subject waits after wrong checks."""
    return Factor(
        id=row.id,
        subject=subject,
        type=row.type,
        name=row.name,
        status="locked" if is_locked and row.status == "active" else row.status,
        hint=hint_of(row),
        preferred=bool(row.preferred),
        created_at=row.created_at,
        verified_at=row.verified_at,
        last_used_at=row.last_used_at,
    )


def choice(row: AnyRow) -> FactorChoice:
    """Return a factor as challenges show it."""
    return FactorChoice(row.id, row.type, row.name, hint_of(row))


def hint_of(row: AnyRow) -> str | None:
    """Return the last two digits of a phone's number as `...67`, None of other factors."""
    return f"...{row.number_masked[-2:]}" if row.number_masked else None


def represent_device(row: AnyRow, subject: str) -> Device:
    """Return the device of a row with `devices.COLUMNS`."""
    return Device(row.id, subject, row.created_at, row.expires_at, row.last_used_at)
