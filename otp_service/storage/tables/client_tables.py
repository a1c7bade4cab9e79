"""The tables of clients: their API keys, and their requests with an Idempotency-Key."""

import sqlalchemy as sa

from otp_service.storage.tables.base import RowId, Time, metadata

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("revoked_at", Time),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("client_id", sa.ForeignKey("clients.id"), nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("last_used_at", Time),
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("key_digest", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("claimed_at", Time, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("sealed", sa.Text),
    sa.UniqueConstraint("client_id", "key_digest"),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
sa.Index("ix_requests_claimed_at", requests.c.claimed_at)
