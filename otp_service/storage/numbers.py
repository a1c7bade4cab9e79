"""The tables `numbers`, the only one with phone numbers, and `keyring`, the key of their index.

A number is found by keyed digests, and readable with OTP_SECRET_KEYS alone.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service import phone
from otp_service.database.compiled import Compiled
from otp_service.database.statements import counts_by_key, insert_by, insert_into
from otp_service.storage.tables import keyring, numbers
from otp_service.vault import SealedFor, Vault

SEALED_NUMBER_SQL = "(SELECT sealed FROM numbers WHERE numbers.id = verifications.number_id)"
SEALED_NUMBER = sa.literal_column(SEALED_NUMBER_SQL, sa.Text).label("sealed")
"""The sealed number of a row of `verifications`."""


def upsert(tx: Connection, vault: Vault, e164: str, *, seen_until: float) -> int:
    """Return the id of a number, inserted if it is new, and lock its row until the commit.

    The number stays readable until `seen_until` (seconds since the epoch), then until retention wipes it.
    """
    return _upsert(tx, lookup_digests(vault, e164), vault.seal(SealedFor.NUMBER, e164.encode()), seen_until)


def upsert_decoy(tx: Connection, vault: Vault, name: str, *, seen_until: float) -> int:
    """Return the id of the row that counts for a decoy without a number, and lock it until the commit."""
    return _upsert(tx, vault.digests(f"decoy {name}"), None, seen_until)


def find_id(tx: Connection, vault: Vault, e164: str) -> int | None:
    """Return the id of a number, None if nothing is kept of it."""
    known = numbers.c.digest.in_(list(lookup_digests(vault, e164).values()))
    return tx.scalar(sa.select(numbers.c.id).where(known).limit(1))


def lookup_digests(vault: Vault, e164: str) -> dict[str, str]:
    """Return every digest that can index a number, by key id; those of its former form by `key id former`.

    A row that was written before the country changed its numbering plan is found this way.
    """
    found = vault.digests(e164)
    former = phone.former_form(e164)
    if former is not None:
        found |= {f"{key_id} former": digest for key_id, digest in vault.digests(former).items()}
    return found


def open_number(vault: Vault, sealed: str | None) -> str | None:
    """Return the number in E.164, None if retention wiped it or its key is gone."""
    number = vault.open(SealedFor.NUMBER, sealed)
    return number.decode() if number is not None else None


def _upsert(tx: Connection, digests: Mapping[str, str], sealed: str | None, seen_until: float) -> int:
    values: dict[str, Any] = {f"digest_{place}": digest for place, digest in enumerate(digests.values())}
    values |= {"sealed_number": sealed, "until": seen_until}
    return int(_upsert_statement(tuple(digests)).first(tx, values).id)


@cache
def _upsert_statement(key_ids: tuple[str, ...]) -> Compiled:
    return Compiled(lambda dialect: _build_upsert(insert_by(dialect), key_ids))


def _build_upsert(insert: Callable[[sa.Table], Any], key_ids: tuple[str, ...]) -> Any:
    """Return the statement. The first key's digest is bound as `digest_0`."""
    digests = {key_id: sa.bindparam(f"digest_{place}", type_=sa.Text) for place, key_id in enumerate(key_ids)}
    found = sa.select(numbers.c.digest).where(numbers.c.digest.in_(digests.values())).limit(1).scalar_subquery()
    new = insert(numbers).values(
        digest=sa.func.coalesce(found, _recorded_digest(digests)),
        sealed=sa.bindparam("sealed_number", type_=sa.Text),
        seen_until=sa.bindparam("until", type_=sa.Double),
    )
    later = sa.case(
        (numbers.c.seen_until > new.excluded.seen_until, numbers.c.seen_until), else_=new.excluded.seen_until
    )
    return new.on_conflict_do_update(
        index_elements=[numbers.c.digest], set_={"sealed": new.excluded.sealed, "seen_until": later}
    ).returning(numbers.c.id)


def _recorded_digest(digests: Mapping[str, sa.ColumnElement[str]]) -> sa.ColumnElement[str]:
    first, *others = digests.items()
    if not others:
        return first[1]
    # All replicas write new rows under the key that the keyring records, whatever their first keys are.
    recorded = sa.select(keyring.c.index_key).scalar_subquery()
    return sa.case(dict(others), value=recorded, else_=first[1])


def record_index_key(tx: Connection, key_id: str) -> None:
    """Record the key of the number index, once."""
    tx.execute(insert_into(tx, keyring).values(id=1, index_key=key_id).on_conflict_do_nothing())


def index_key(tx: Connection) -> str | None:
    """Return the recorded key of the number index."""
    return tx.scalar(sa.select(keyring.c.index_key))


def move_index_key(tx: Connection, key_id: str) -> None:
    """Index new numbers under this key from now on."""
    # Waits for starts that still write under the old key: a number must not get two rows.
    lock_table(tx)
    tx.execute(sa.update(keyring).values(index_key=key_id))


def count_by_key(tx: Connection) -> dict[str, int]:
    """Count by key id the rows that it indexes or seals."""
    return counts_by_key(tx, numbers.c.digest, numbers.c.sealed)


def under_other_keys(tx: Connection, key_id: str, after: int, limit: int) -> list[tuple[int, str]]:
    """Return (id, sealed) of readable numbers that another key indexed or sealed, by id."""
    mine = f"{key_id}:"
    statement = (
        sa.select(numbers.c.id, numbers.c.sealed)
        .where(numbers.c.id > after, numbers.c.sealed.is_not(None))
        .where(
            ~(numbers.c.digest.startswith(mine, autoescape=True) & numbers.c.sealed.startswith(mine, autoescape=True))
        )
        .order_by(numbers.c.id)
        .limit(limit)
    )
    return [(row.id, row.sealed) for row in tx.execute(statement)]


def lock_table(tx: Connection) -> None:
    """Keep other transactions from adding or changing numbers until the commit.

    A start that waits for one row alone would not see its new digest and add a second row for the number.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("LOCK TABLE numbers IN SHARE ROW EXCLUSIVE MODE"))


def list_readable(tx: Connection, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Return (id, sealed) of the next numbers that retention has not wiped, by id."""
    statement = sa.select(numbers.c.id, numbers.c.sealed).where(numbers.c.id > after, numbers.c.sealed.is_not(None))
    return [(row.id, row.sealed) for row in tx.execute(statement.order_by(numbers.c.id).limit(limit))]


def read_sealed(tx: Connection, number_id: int) -> str | None:
    """Return the sealed number, None if it was wiped or its row is gone."""
    return tx.scalar(sa.select(numbers.c.sealed).where(numbers.c.id == number_id))


def find_duplicates(tx: Connection, number_id: int, digests: Mapping[str, str]) -> list[int]:
    """Return the ids of other rows with one of these digests."""
    mine = numbers.c.digest.in_(list(digests.values()))
    return list(tx.scalars(sa.select(numbers.c.id).where(mine, numbers.c.id != number_id)))


def rewrite(tx: Connection, number_id: int, *, digest: str, sealed: str) -> None:
    """Give a number another digest and another sealed form."""
    tx.execute(sa.update(numbers).where(numbers.c.id == number_id).values(digest=digest, sealed=sealed))


def merge(tx: Connection, *, keep: int, drop: int) -> None:
    """Delete a row to which nothing refers any more; the other one is seen for as long as either was."""
    until = sa.select(sa.func.max(numbers.c.seen_until)).where(numbers.c.id.in_((keep, drop))).scalar_subquery()
    tx.execute(sa.update(numbers).where(numbers.c.id == keep).values(seen_until=until))
    tx.execute(sa.delete(numbers).where(numbers.c.id == drop))
