"""The tables. Times are seconds since the epoch; docs/architecture.md says what a row of each is."""

import sqlalchemy as sa

from otp_service.storage.factor_tables import devices as devices
from otp_service.storage.factor_tables import factors as factors
from otp_service.storage.factor_tables import recovery_codes as recovery_codes
from otp_service.storage.factor_tables import subject_failures as subject_failures
from otp_service.storage.factor_tables import subjects as subjects
from otp_service.storage.guard_tables import ceilings as ceilings
from otp_service.storage.guard_tables import guard_alarms as guard_alarms
from otp_service.storage.guard_tables import guard_audit as guard_audit
from otp_service.storage.guard_tables import guard_decisions as guard_decisions
from otp_service.storage.guard_tables import guard_lists as guard_lists
from otp_service.storage.guard_tables import guard_rows as guard_rows
from otp_service.storage.guard_tables import guesses as guesses
from otp_service.storage.guard_tables import known_people as known_people
from otp_service.storage.metadata import PENDING as PENDING
from otp_service.storage.metadata import QUEUED as QUEUED
from otp_service.storage.metadata import SENDING as SENDING
from otp_service.storage.metadata import RowId, Time, partial_index
from otp_service.storage.metadata import metadata as metadata
from otp_service.storage.notification_tables import notifications as notifications
from otp_service.storage.webhook_tables import webhook_deliveries as webhook_deliveries
from otp_service.storage.webhook_tables import webhooks as webhooks

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
partial_index("ix_numbers_sealed", _sealed, numbers.c.seen_until)
_wiped = numbers.c.sealed.is_(None)
partial_index("ix_numbers_wiped", _wiped, numbers.c.seen_until)

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
    sa.Column("phrase_digest", sa.Text),
    sa.Column("spent_at", Time),
    sa.Column("decoy", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("session_hash", sa.Text),
    sa.Column("proof_id", sa.Text),
    sa.Column("proof_key", sa.Text),
    sa.Column("proof_expires_at", Time),
    sa.Column("redeemed_at", Time),
    sa.Column("subject_id", RowId),  # of a challenge; no foreign key: it outlives the erasure of its subject
    sa.Column("factor_id", sa.Text),
    sa.Column("blocked", sa.Boolean, nullable=False, server_default=sa.false()),  # a decoy that the guard made
    postgresql_with={"fillfactor": 90},  # room for a check beside its row: then no index is written
)
_pending = verifications.c.status == PENDING
partial_index(
    "uq_verifications_slot",
    _pending,
    verifications.c.client_id,
    verifications.c.purpose,
    verifications.c.slot,
    unique=True,
)
partial_index("ix_verifications_pending", _pending, verifications.c.expires_at)
_ended = verifications.c.ended_at.is_not(None)
partial_index("ix_verifications_ended", _ended, verifications.c.ended_at)
_numbered = verifications.c.number_id.is_not(None)
partial_index("ix_verifications_numbered", _numbered, verifications.c.number_id, verifications.c.ended_at)
partial_index("ix_verifications_told", _numbered, verifications.c.ended_at)
_of_a_subject = verifications.c.subject_id.is_not(None)
partial_index("ix_verifications_challenges", _of_a_subject, verifications.c.subject_id, verifications.c.created_at)
for _name, _column in (
    ("number", verifications.c.number_id),
    ("subject", verifications.c.subject),
    ("reference", verifications.c.reference),
):
    _by = (_column, verifications.c.client_id, verifications.c.created_at, verifications.c.id)
    partial_index(f"ix_verifications_by_{_name}", _column.is_not(None), *_by)

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
    sa.Column("guard_keys", sa.Text),
    sa.Column("pseudonym", sa.Text),
    sa.Column("prices", sa.Text),
    sa.Column("begun_at", Time),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
_open = sends.c.outcome.is_(None)
partial_index("ix_sends_open", _open, sends.c.started_at)
_live = sends.c.pin_hash.is_not(None)
partial_index("ix_sends_live", _live, sends.c.verification_id)
_requested = sends.c.request_id.is_not(None)
partial_index("ix_sends_request_id", _requested, sends.c.request_id)
_identified = sends.c.message_digest.is_not(None)
partial_index("ix_sends_message_digest", _identified, sends.c.message_digest)
_polled = sends.c.poll_at.is_not(None)
partial_index("ix_sends_poll_at", _polled, sends.c.poll_at)
_screened = sends.c.pseudonym.is_not(None)
partial_index("ix_sends_screened", _screened, sends.c.started_at)

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

opt_outs = sa.Table(
    "opt_outs",
    metadata,
    sa.Column("number_id", sa.ForeignKey("numbers.id"), primary_key=True),
    sa.Column("opted_out", sa.Boolean, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("client_id", sa.Text),
    sa.Column("since", Time, nullable=False),
    sa.Column("listed_at", Time),
    sa.Column("texted_at", Time),
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
partial_index("ix_fires_due_at", _due, campaign_messages.c.due_at)
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
