"""The tables of the service's own work: what was read of the gateway's list, the clock, whose turn a sweep is."""

import sqlalchemy as sa

from otp_service.storage.tables.base import Time, metadata

inbound_cursor = sa.Table(
    "inbound_cursor",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("due_at", Time, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("recent", sa.Text, nullable=False),
    sa.Column("looked_at", Time),
)

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
