"""The tables of limits: GCRA limits, and consecutive wrong checks."""

import sqlalchemy as sa

from otp_service.storage.tables.base import Time, metadata

buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("arrival", Time, nullable=False),
    sa.Column("interval", Time, nullable=False),
    sa.Column("tolerance", Time, nullable=False),
)
sa.Index("ix_buckets_arrival", buckets.c.arrival)

failures = sa.Table(
    "failures",
    metadata,
    sa.Column("number_id", sa.ForeignKey("numbers.id"), primary_key=True),
    sa.Column("client_id", sa.Text, primary_key=True),
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("checks", sa.Integer, nullable=False),
    sa.Column("waits_until", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
)
sa.Index("ix_failures_last_at", failures.c.last_at)
