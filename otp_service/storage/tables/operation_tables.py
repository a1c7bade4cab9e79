"""The tables of the service's own work: the clock, and whose turn a sweep is."""

import sqlalchemy as sa

from otp_service.storage.tables.base import Time, metadata

timekeeping = sa.Table(
    "timekeeping",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("boot", sa.Text),
    sa.Column("anchor", Time, nullable=False),
    sa.Column("seen", Time, nullable=False),
)

sweep_turn = sa.Table(
    "sweep_turn", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("due_at", Time, nullable=False)
)
