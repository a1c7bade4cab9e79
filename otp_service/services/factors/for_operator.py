"""What an operator sees of the factors of a subject, and the end of its waits."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.database.statements import AnyRow
from otp_service.errors import require
from otp_service.services.clients import clients
from otp_service.services.factors.representation import Device, RecoveryCodes, represent, represent_device
from otp_service.storage.factors import devices, factors, failures, recovery_codes, subjects


@dataclass(frozen=True)
class ShownFactor:
    """A factor. `number`: masked, None of an app."""

    id: str
    type: str
    name: str | None
    status: str
    number: str | None
    preferred: bool
    created_at: float
    verified_at: float | None
    last_used_at: float | None


@dataclass(frozen=True)
class CurrentFailures:
    """Consecutive wrong checks. `kind`: factors or recovery_codes; `free_at`: None if the next check need not wait."""

    kind: str
    checks: int
    free_at: float | None


@dataclass(frozen=True)
class Overview:
    """All that a subject of a client can pass challenges with, and what makes it wait."""

    client: str
    subject: str
    created_at: float
    factors: list[ShownFactor]
    recovery_codes: RecoveryCodes
    devices: list[Device]
    failures: list[CurrentFailures]


async def show(database: Database, clock: Clock, client: str, subject: str) -> Overview:
    """Return what is kept of a subject. `client`: its name. Raises ClientError; refusal: `not_found`."""

    def step(tx: Connection) -> Overview:
        row, now = _find(tx, client, subject), clock.now()
        counts = [_count(each, now) for each in failures.of_subject(tx, row.id)]
        locked = any(count.kind == failures.FACTORS and count.free_at is not None for count in counts)
        return Overview(
            client=client,
            subject=subject,
            created_at=row.created_at,
            factors=[_factor(each, subject, locked) for each in factors.of_subject(tx, row.id, now)],
            recovery_codes=RecoveryCodes(recovery_codes.count(tx, row.id), row.codes_created_at),
            devices=[represent_device(each, subject) for each in devices.of_subject(tx, row.id, now)],
            failures=counts,
        )

    return await database.read(step)


async def unlock(database: Database, client: str, subject: str) -> int:
    """Clear the wrong checks of a subject; return how many counts there were. Raises ClientError; `not_found`."""

    def step(tx: Connection) -> int:
        subject_id = _find(tx, client, subject).id
        subjects.lock_row(tx, subject_id)
        return failures.clear(tx, subject_id)

    return await database.write(step)


def _find(tx: Connection, client: str, subject: str) -> AnyRow:
    return require(subjects.find(tx, clients.find(tx, client).id, subject), "subject with factors")


def _factor(row: AnyRow, subject: str, locked: bool) -> ShownFactor:
    factor = represent(row, subject, is_locked=locked)
    return ShownFactor(
        id=factor.id,
        type=factor.type,
        name=factor.name,
        status=factor.status,
        number=row.number_masked,
        preferred=factor.preferred,
        created_at=factor.created_at,
        verified_at=factor.verified_at,
        last_used_at=factor.last_used_at,
    )


def _count(row: AnyRow, now: float) -> CurrentFailures:
    return CurrentFailures(row.kind, row.checks, row.waits_until if row.waits_until > now else None)
