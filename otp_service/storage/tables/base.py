"""What the definitions of tables share."""

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Written out in statements, so that a plan for all values may use the partial indexes of these.
PENDING, QUEUED, SENDING = (sa.literal_column(f"'{status}'", sa.Text) for status in ("pending", "queued", "sending"))

RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.Double


def partial_index(name: str, where: sa.ColumnElement[bool], *columns: sa.Column[Any], unique: bool = False) -> None:
    """Add an index of the rows that meet a condition."""
    sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)
