"""Subjects under data protection law: what is kept of one, and its erasure."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.services.context import Context
from otp_service.services.factors import devices, factors, recovery_codes
from otp_service.services.factors.representation import Device, Factor, RecoveryCodes
from otp_service.services.verifications.representation import Verification, represent
from otp_service.storage.factors import devices as stored_devices
from otp_service.storage.factors import factors as stored_factors
from otp_service.storage.factors import failures, subjects
from otp_service.storage.factors import recovery_codes as stored_recovery_codes
from otp_service.storage.guard import known_people
from otp_service.storage.verifications import challenges, search
from otp_service.storage.verifications.search import Filter

MOST_EXPORTED = 1000
"""Of challenges, and of verifications."""
ERASED = "subject_erased"
"""The reason of challenges that end because their subject was erased."""


@dataclass(frozen=True)
class FailureCount:
    """Consecutive wrong checks of a subject. `kind`: factors or recovery_codes; `waits_until`: None without a wait."""

    kind: str
    checks: int
    waits_until: float | None
    last_at: float


@dataclass(frozen=True)
class ChallengeOfSubject:
    """A challenge of a subject, or the enrolment of an app. `factor`: the id of the factor, None of a recovery code."""

    id: str
    status: str
    reason: str | None
    purpose: str
    factor: str | None
    to: str | None
    attempts_left: int
    created_at: float
    expires_at: float


@dataclass(frozen=True)
class ApprovedNumber:
    """The approval of a number of a subject: when first, and when last. The number itself is not kept with it."""

    since: float
    last_at: float


@dataclass(frozen=True)
class KeptOfSubject:
    """Everything that is kept of a subject; of challenges and verifications the newest. `created_at`: of its row."""

    subject: str
    created_at: float | None
    factors: list[Factor]
    recovery_codes: RecoveryCodes
    devices: list[Device]
    failures: list[FailureCount]
    approved_numbers: list[ApprovedNumber]
    challenges: list[ChallengeOfSubject]
    verifications: list[Verification]


async def export(ctx: Context, client_id: str, subject: str) -> KeptOfSubject:
    """Return everything that is kept of a subject of a client."""

    def step(tx: Connection) -> KeptOfSubject:
        now, owner = ctx.clock.now(), subjects.find(tx, client_id, subject)
        started = search.find(tx, Filter(client_id=client_id, subject=subject), now=now, limit=MOST_EXPORTED)
        return KeptOfSubject(
            subject=subject,
            created_at=owner.created_at if owner is not None else None,
            factors=factors.of_subject(tx, owner.id, subject, now) if owner is not None else [],
            recovery_codes=recovery_codes.of_subject(tx, client_id, subject),
            devices=devices.of_subject(tx, owner.id, subject, now) if owner is not None else [],
            failures=_failures(tx, owner.id, now) if owner is not None else [],
            approved_numbers=_approved_numbers(tx, client_id, subject),
            challenges=_challenges(tx, ctx, owner.id) if owner is not None else [],
            verifications=[represent(ctx, row) for row in started],
        )

    with ctx.concurrency.of_client(client_id):
        return await ctx.database.read(step)


def _failures(tx: Connection, subject_id: int, now: float) -> list[FailureCount]:
    return [
        FailureCount(row.kind, row.checks, row.waits_until if row.waits_until > now else None, row.last_at)
        for row in failures.of_subject(tx, subject_id)
    ]


def _approved_numbers(tx: Connection, client_id: str, subject: str) -> list[ApprovedNumber]:
    rows = known_people.of_subject(tx, client_id=client_id, subject=subject)
    return [ApprovedNumber(row.since, row.last_at) for row in rows]


def _challenges(tx: Connection, ctx: Context, subject_id: int) -> list[ChallengeOfSubject]:
    return [_challenge(ctx, row) for row in challenges.of_subject(tx, subject_id, MOST_EXPORTED)]


def _challenge(ctx: Context, row: AnyRow) -> ChallengeOfSubject:
    shown = represent(ctx, row)
    return ChallengeOfSubject(
        id=shown.id,
        status=shown.status,
        reason=shown.reason,
        purpose=shown.purpose,
        factor=row.factor_id,
        to=shown.to,
        attempts_left=shown.attempts_left,
        created_at=shown.created_at,
        expires_at=shown.expires_at,
    )


async def erase(ctx: Context, client_id: str, subject: str) -> None:
    """Erase a subject of a client; what it started stays, without its name. It causes neither events nor notices."""

    def step(tx: Connection) -> None:
        row = subjects.find(tx, client_id, subject)
        if row is not None and subjects.lock_row(tx, row.id) is not None:
            stored_factors.delete_of_subject(tx, row.id)
            stored_recovery_codes.delete_of_subject(tx, row.id)
            challenges.cancel_of_subject(tx, row.id, reason=ERASED, now=ctx.clock.now())
            failures.clear(tx, row.id)
            stored_devices.delete_of_subject(tx, row.id)
            subjects.delete(tx, row.id)
        challenges.erase_subject(tx, client_id, subject)
        known_people.erase(tx, client_id=client_id, subject=subject)

    async with ctx.concurrency.turn_of_subject(client_id, subject):
        await ctx.database.write(step)
