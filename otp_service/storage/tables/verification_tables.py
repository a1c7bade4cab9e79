"""The tables of a verification: its row, its sends, its events."""

import sqlalchemy as sa

from otp_service.storage.tables.base import PENDING, RowId, Time, metadata, partial_index

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
