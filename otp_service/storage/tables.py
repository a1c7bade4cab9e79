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

# Written out in statements, so that a plan for all values may use the partial indexes of these.
PENDING, QUEUED, SENDING = (sa.literal_column(f"'{status}'", sa.Text) for status in ("pending", "queued", "sending"))

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
    "keyring", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("index_key", sa.Text, nullable=False)
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
# Each has its own way to go: a sweep must not read those that it has wiped.
_sealed = numbers.c.sealed.is_not(None)
sa.Index("ix_numbers_sealed", numbers.c.seen_until, sqlite_where=_sealed, postgresql_where=_sealed)
_wiped = numbers.c.sealed.is_(None)
sa.Index("ix_numbers_wiped", numbers.c.seen_until, sqlite_where=_wiped, postgresql_where=_wiped)

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
    sa.Column("channel", sa.Text, nullable=False, server_default="sms"),
    sa.Column("phrase_sealed", sa.Text),
    postgresql_with={"fillfactor": 90},  # room for a check beside its row: then no index is written
)
_pending = verifications.c.status == PENDING
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
sa.Index("ix_verifications_told", verifications.c.ended_at, sqlite_where=_numbered, postgresql_where=_numbered)

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
    sa.Column("message_digest", sa.Text),
    sa.Column("message_sealed", sa.Text),
    sa.Column("receipt", sa.Text),
    sa.Column("poll_at", Time),
    sa.Column("polls", sa.Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
_open = sends.c.outcome.is_(None)
sa.Index("ix_sends_open", sends.c.started_at, sqlite_where=_open, postgresql_where=_open)
_live = sends.c.pin_hash.is_not(None)
sa.Index("ix_sends_live", sends.c.verification_id, sqlite_where=_live, postgresql_where=_live)
_requested = sends.c.request_id.is_not(None)
sa.Index("ix_sends_request_id", sends.c.request_id, sqlite_where=_requested, postgresql_where=_requested)
_identified = sends.c.message_digest.is_not(None)
sa.Index("ix_sends_message_digest", sends.c.message_digest, sqlite_where=_identified, postgresql_where=_identified)
_polled = sends.c.poll_at.is_not(None)
sa.Index("ix_sends_poll_at", sends.c.poll_at, sqlite_where=_polled, postgresql_where=_polled)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("verification_id", sa.ForeignKey("verifications.id"), nullable=False, index=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("route", sa.Text),
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

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("client_id", sa.ForeignKey("clients.id")),
    sa.Column("number_id", sa.ForeignKey("numbers.id")),
    sa.Column("number_masked", sa.Text, nullable=False),
    sa.Column("request_id", RowId),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("route", sa.Text),
    sa.Column("segments", sa.Integer, nullable=False),
    sa.Column("template", sa.Text),
    sa.Column("reference", sa.Text),
    sa.Column("carrier", sa.Text),
    sa.Column("text_sealed", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("due_at", Time),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("sent_at", Time),
    sa.Column("ended_at", Time),
    sa.Column("message_digest", sa.Text),
    sa.Column("message_sealed", sa.Text),
    sa.Column("poll_at", Time),
    sa.Column("polls", sa.Integer, nullable=False, server_default="0"),
)
_queued = notifications.c.status == QUEUED
sa.Index("ix_notifications_due", notifications.c.due_at, sqlite_where=_queued, postgresql_where=_queued)
_sending = notifications.c.status == SENDING
sa.Index("ix_notifications_sending", notifications.c.due_at, sqlite_where=_sending, postgresql_where=_sending)
_addressed = notifications.c.number_id.is_not(None)
sa.Index(
    "ix_notifications_numbered",
    notifications.c.number_id,
    notifications.c.ended_at,
    sqlite_where=_addressed,
    postgresql_where=_addressed,
)
sa.Index("ix_notifications_told", notifications.c.ended_at, sqlite_where=_addressed, postgresql_where=_addressed)
_over = notifications.c.ended_at.is_not(None)
sa.Index("ix_notifications_ended", notifications.c.ended_at, sqlite_where=_over, postgresql_where=_over)
_asked = notifications.c.request_id.is_not(None)
sa.Index("ix_notifications_request_id", notifications.c.request_id, sqlite_where=_asked, postgresql_where=_asked)
_named = notifications.c.message_digest.is_not(None)
sa.Index(
    "ix_notifications_message_digest", notifications.c.message_digest, sqlite_where=_named, postgresql_where=_named
)
_followed = notifications.c.poll_at.is_not(None)
sa.Index("ix_notifications_poll_at", notifications.c.poll_at, sqlite_where=_followed, postgresql_where=_followed)

opt_outs = sa.Table(
    "opt_outs",
    metadata,
    sa.Column("number_id", sa.ForeignKey("numbers.id"), primary_key=True),
    sa.Column("opted_out", sa.Boolean, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("client_id", sa.Text),
    sa.Column("since", Time, nullable=False),
    sa.Column("listed_at", Time),
)

campaign_messages = sa.Table(
    "fires",  # the name of the first release, which must go on working beside this one
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("number_id", sa.ForeignKey("numbers.id"), nullable=False, index=True),
    sa.Column("keyword", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("due_at", Time),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("fired_at", Time),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("echoed_at", Time),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
_due = campaign_messages.c.due_at.is_not(None)
sa.Index("ix_fires_due_at", campaign_messages.c.due_at, sqlite_where=_due, postgresql_where=_due)
sa.Index("ix_fires_created_at", campaign_messages.c.created_at)

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
