"""The tables. Times are seconds since the epoch; docs/architecture.md says what a row of each is."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.Double

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
)

keyring = sa.Table(
    "keyring",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("index_key", sa.Text, nullable=False),
)

numbers = sa.Table(
    "numbers",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("sealed", sa.Text),
    sa.Column("seen_until", Time, nullable=False),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
sa.Index("ix_numbers_seen_until", numbers.c.seen_until)

verifications = sa.Table(
    "verifications",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("client_id", sa.ForeignKey("clients.id"), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("number_id", sa.ForeignKey("numbers.id")),
    sa.Column("number_masked", sa.Text, nullable=False),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("session_digest", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("pin_length", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("attempts_spent", sa.Integer, nullable=False),
    sa.Column("attempts_compared", sa.Integer, nullable=False),
    sa.Column("sends", sa.Integer, nullable=False),
    sa.Column("sends_spent", sa.Integer, nullable=False),
    sa.Column("locale", sa.Text),
    sa.Column("carrier", sa.Text),
    sa.Column("address_digest", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("reference", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("resend_at", Time, nullable=False),
    sa.Column("ended_at", Time),
    sa.Column("delivery_status", sa.Text, nullable=False),
    sa.Column("delivery_route", sa.Text),
    sa.Column("delivery_at", Time),
)
_pending = verifications.c.status == "pending"
sa.Index(
    "uq_verifications_slot",
    verifications.c.client_id,
    verifications.c.purpose,
    verifications.c.slot,
    unique=True,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
sa.Index("ix_verifications_pending", verifications.c.expires_at, sqlite_where=_pending, postgresql_where=_pending)
_ended = verifications.c.ended_at.is_not(None)
sa.Index("ix_verifications_ended", verifications.c.ended_at, sqlite_where=_ended, postgresql_where=_ended)
_numbered = verifications.c.number_id.is_not(None)
sa.Index(
    "ix_verifications_numbered",
    verifications.c.number_id,
    verifications.c.ended_at,
    sqlite_where=_numbered,
    postgresql_where=_numbered,
)

sends = sa.Table(
    "sends",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("verification_id", sa.ForeignKey("verifications.id"), nullable=False, index=True),
    sa.Column("request_id", RowId),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("finished_at", Time),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("pepper_key", sa.Text),
    sa.Column("pin_hash", sa.Text),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
_open = sends.c.outcome.is_(None)
sa.Index("ix_sends_open", sends.c.started_at, sqlite_where=_open, postgresql_where=_open)
_live = sends.c.pin_hash.is_not(None)
sa.Index("ix_sends_live", sends.c.verification_id, sqlite_where=_live, postgresql_where=_live)
_requested = sends.c.request_id.is_not(None)
sa.Index("ix_sends_request_id", sends.c.request_id, sqlite_where=_requested, postgresql_where=_requested)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("verification_id", sa.ForeignKey("verifications.id"), nullable=False, index=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
)

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
