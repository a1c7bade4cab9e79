"""What a verification keeps of its proof, from which the proof is made again: nothing that proves anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow
from otp_service.storage.numbers import SEALED_NUMBER
from otp_service.storage.tables import verifications
from otp_service.storage.verifications.sessions import SAME_SESSION, Session

v = verifications.c

LONGEST_SECONDS = 900.0
"""The policy allows no longer `proof_lifetime`."""


@dataclass(frozen=True, slots=True)
class KeptProof:
    """The columns of a proof. `key_id`: of the secret key that signs it."""

    id: str
    key_id: str
    expires_at: float

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the values of `proof_id`, `proof_key` and `proof_expires_at`."""
        return {"proof_id": self.id, "proof_key": self.key_id, "proof_expires_at": self.expires_at}


def of_row(row: AnyRow) -> KeptProof | None:
    """Return what a verification keeps of its proof, None if it has none."""
    return KeptProof(row.proof_id, row.proof_key, row.proof_expires_at) if row.proof_id is not None else None


COLUMNS = (v.proof_id, v.proof_key, v.proof_expires_at, v.redeemed_at, v.session_hash)

_REDEEMED = (v.id, v.purpose, v.subject, v.reference, v.delivery_route, v.ended_at, v.redeemed_at)
_NOW = sa.bindparam("now", type_=sa.Double)


def _redeeming(is_bound: bool) -> Any:
    statement = (
        sa.update(verifications)
        .where(v.id == sa.bindparam("this"), v.client_id == sa.bindparam("client"), v.status == "approved")
        .where(v.proof_id == sa.bindparam("given_id"), v.proof_expires_at > _NOW, v.redeemed_at.is_(None))
    )
    if is_bound:
        statement = statement.where(v.purpose == sa.bindparam("for_purpose"), sa.text(SAME_SESSION))
    return statement.values(redeemed_at=_NOW).returning(*_REDEEMED, SEALED_NUMBER)


_REDEEM = Compiled(lambda _: _redeeming(is_bound=True))
_REDEEM_UNBOUND = Compiled(lambda _: _redeeming(is_bound=False))


def redeem(
    tx: Connection, verification_id: str, proof_id: str, *, client_id: str, purpose: str, session: Session, now: float
) -> AnyRow | None:
    """Redeem the proof of an approved verification; return None if another call did, or something does not match."""
    given = {"this": verification_id, "given_id": proof_id, "client": client_id, "for_purpose": purpose, "now": now}
    return cast("AnyRow | None", _REDEEM.first(tx, given | session.parameters))


def redeem_for_factors(
    tx: Connection, verification_id: str, proof_id: str, *, client_id: str, now: float
) -> AnyRow | None:
    """Redeem a proof of any purpose and session: a change of factors is bound to the subject instead."""
    given = {"this": verification_id, "given_id": proof_id, "client": client_id, "now": now}
    return cast("AnyRow | None", _REDEEM_UNBOUND.first(tx, given))


def void_all(tx: Connection, now: float) -> None:
    """Void every proof that can still be redeemed: after a restore from a backup it may have been redeemed before."""
    recent = v.ended_at > now - LONGEST_SECONDS  # for the index
    tx.execute(sa.update(verifications).where(recent, v.proof_expires_at > now).values(proof_id=None))
