"""The second decision of a check: record what the comparison found.

As in `attempts`, each is one statement on PostgreSQL, and several in one transaction on SQLite.
"""

from typing import cast

from sqlalchemy.engine import Connection

from otp_service.database.compiled import Compiled
from otp_service.database.statements import AnyRow
from otp_service.storage.limits import failures
from otp_service.storage.numbers import SEALED_NUMBER_SQL
from otp_service.storage.verifications import verifications
from otp_service.storage.verifications.endings import COMPARING_SECONDS
from otp_service.storage.verifications.proofs import KeptProof
from otp_service.storage.verifications.verifications import EVENTS

_SHOWN_SQL = ", ".join(column.name for column in verifications.COLUMNS if column.name != "sealed")
_SHOWN_SQL += f", {SEALED_NUMBER_SQL} AS sealed"
_EXHAUSTS_SQL = "(status = 'pending' AND attempts_compared + 1 >= attempts)"
_COMPARE_SQL = f"""
    UPDATE verifications SET attempts_compared = attempts_compared + 1,
        status = CASE WHEN {_EXHAUSTS_SQL} THEN 'exhausted' ELSE status END,
        ended_at = CASE WHEN {_EXHAUSTS_SQL} THEN :now ELSE ended_at END
    WHERE id = :this RETURNING {_SHOWN_SQL}"""
# SQLite writes every index that a statement could change, and most checks change none.
_COMPARE_OPEN_SQL = f"""
    UPDATE verifications SET attempts_compared = attempts_compared + 1
    WHERE id = :this AND NOT {_EXHAUSTS_SQL} RETURNING {_SHOWN_SQL}"""
_RECORD_SQL = """
    INSERT INTO events (verification_id, at, type, result, route)
    SELECT :this, :now, 'check', '{result}', CAST(:method AS TEXT)"""
_RECORD_INCORRECT_SQL = _RECORD_SQL.format(result="incorrect")
_EXHAUSTED_NOW = "changed.status = 'exhausted' AND changed.ended_at = :now"
_EVENT_COLUMNS = "client_id, number_id, subject_id"  # for the events of webhooks

_compare_statement, _compare_open_statement = Compiled.of_text(_COMPARE_SQL), Compiled.of_text(_COMPARE_OPEN_SQL)
_record_incorrect_statement = Compiled.of_text(_RECORD_INCORRECT_SQL)
_report_statement = Compiled.of_text(EVENTS.insert_sql("sqlite", "verifications", "changed.id = :this"))
_incorrect_in_one_statement = Compiled.of_text(f"""
    WITH compared AS ({_COMPARE_SQL}, {_EVENT_COLUMNS}), recorded AS ({_RECORD_INCORRECT_SQL}),
        reported AS ({EVENTS.insert_sql("postgresql", "compared", _EXHAUSTED_NOW)})
    SELECT * FROM compared""")


def record_incorrect(
    tx: Connection, verification_id: str, *, none_left: bool, now: float, method: str | None = None
) -> AnyRow:
    """Record a wrong PIN and return the verification, `verifications.COLUMNS`; the last wrong PIN exhausts it.

    `none_left` is that of the spent attempt; `method`: what a challenge was checked with, for its history.
    """
    values = {"this": verification_id, "now": now, "method": method}
    if tx.dialect.name != "sqlite":
        return cast("AnyRow", _incorrect_in_one_statement.first(tx, values))
    row = None if none_left else _compare_open_statement.first(tx, values)
    row = row or _compare_statement.first(tx, values)
    _record_incorrect_statement.run(tx, values)
    if row.status == "exhausted" and row.ended_at == now:
        _report_statement.run(tx, values)
    return cast("AnyRow", row)


_APPROVE_SQL = f"""
    UPDATE verifications SET status = 'approved', ended_at = :now, phrase_sealed = NULL,
        proof_id = :proof_id, proof_key = :proof_key, proof_expires_at = :proof_expires_at
    WHERE id = :this AND status = 'pending' AND NOT decoy
    AND (CAST(:factor AS TEXT) IS NULL OR factor_id = CAST(:factor AS TEXT)) AND (
        spent_at + {COMPARING_SECONDS} > :now
        OR (expires_at > :now AND (attempts_spent < attempts OR spent_at IS NULL))
    )
    RETURNING {_SHOWN_SQL}"""
_RECORD_APPROVED_SQL = _RECORD_SQL.format(result="approved")
_WAS_ENDED = "EXISTS (SELECT 1 FROM ended)"

_approve_statement, _clear_statement, _record_approved_statement = map(
    Compiled.of_text, (_APPROVE_SQL, failures.CLEAR, _RECORD_APPROVED_SQL)
)
_approve_in_one_statement = Compiled.of_text(f"""
    WITH ended AS ({_APPROVE_SQL}, {_EVENT_COLUMNS}), cleared AS ({failures.CLEAR} AND {_WAS_ENDED}),
        recorded AS ({_RECORD_APPROVED_SQL} WHERE {_WAS_ENDED}),
        reported AS ({EVENTS.insert_sql("postgresql", "ended", "TRUE")})
    SELECT * FROM ended""")


def approve(
    tx: Connection,
    verification_id: str,
    *,
    client_id: str,
    purpose: str,
    proof: KeptProof,
    now: float,
    method: str | None = None,
    factor_id: str | None = None,
) -> AnyRow | None:
    """Approve the verification and clear the number's failures; None if it has ended, as `endings` says.

    `method`: what a challenge was checked with, for its history; `factor_id`: the factor that it must still be one of.
    """
    values = {"this": verification_id, "now": now, "client": client_id, "for_purpose": purpose, "method": method}
    values |= {"factor": factor_id, **proof.parameters}
    if tx.dialect.name != "sqlite":
        return cast("AnyRow | None", _approve_in_one_statement.first(tx, values))
    row = cast("AnyRow | None", _approve_statement.first(tx, values))
    if row is not None:
        _clear_statement.run(tx, values)
        _record_approved_statement.run(tx, values)
        _report_statement.run(tx, values)
    return row
