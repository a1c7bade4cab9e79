"""The tables of second factors: who they belong to, the factors, and what else proves that somebody is the subject."""

import sqlalchemy as sa

from otp_service.storage.tables.base import RowId, Time, metadata, partial_index

subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("client_id", sa.ForeignKey("clients.id"), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("codes_created_at", Time),
    sa.Column("idle_since", Time),
    sa.UniqueConstraint("client_id", "subject"),
    sqlite_autoincrement=True,  # an id that was somebody's must not come back for somebody else
)
_idle = subjects.c.idle_since.is_not(None)
partial_index("ix_subjects_idle", _idle, subjects.c.idle_since)

factors = sa.Table(
    "factors",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("subject_id", sa.ForeignKey("subjects.id"), nullable=False, index=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("preferred", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("number_id", RowId),  # no foreign key: the previous release, which does not know it, deletes numbers
    sa.Column("number_masked", sa.Text),
    sa.Column("secret_sealed", sa.Text),
    sa.Column("last_step", sa.BigInteger),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("verified_at", Time),
    sa.Column("last_used_at", Time),
)
_of_a_number = factors.c.number_id.is_not(None)
partial_index("ix_factors_number_id", _of_a_number, factors.c.number_id)
_unverified = factors.c.status == sa.literal_column("'unverified'", sa.Text)
partial_index("ix_factors_unverified", _unverified, factors.c.created_at)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("subject_id", sa.ForeignKey("subjects.id"), nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False),
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("subject_id", sa.ForeignKey("subjects.id"), nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("last_used_at", Time),
)
sa.Index("ix_devices_expires_at", devices.c.expires_at)

subject_failures = sa.Table(
    "subject_failures",
    metadata,
    sa.Column("subject_id", sa.ForeignKey("subjects.id"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("checks", sa.Integer, nullable=False),
    sa.Column("waits_until", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
)
sa.Index("ix_subject_failures_last_at", subject_failures.c.last_at)
