"""The tables of the guard against SMS pumping. docs/architecture.md says what a row of each is."""

import sqlalchemy as sa

from otp_service.storage.tables.base import RowId, Time, metadata

guard_rows = sa.Table(
    "guard_rows",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("client_id", sa.Text),
    sa.Column("prefix", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("touched_at", Time, nullable=False),
)
sa.Index("ix_guard_rows_touched_at", guard_rows.c.touched_at)

guard_decisions = sa.Table(
    "guard_decisions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("country", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("network_digest", sa.Text),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("approved_at", Time),
)
sa.Index("ix_guard_decisions_at", guard_decisions.c.at, guard_decisions.c.id)
sa.Index("ix_guard_decisions_pseudonym", guard_decisions.c.pseudonym, guard_decisions.c.at)

guard_lists = sa.Table(
    "guard_lists",
    metadata,
    sa.Column("prefix", sa.Text, primary_key=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("until", Time),
    sa.Column("note", sa.Text),
    sa.Column("created_at", Time, nullable=False),
)

guard_audit = sa.Table(
    "guard_audit",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
)
sa.Index("ix_guard_audit_at", guard_audit.c.at)

ceilings = sa.Table(
    "ceilings",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("of_whom", sa.Text, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("most", sa.BigInteger, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("told", sa.Integer, nullable=False, server_default="0"),
    sa.Column("ends_at", Time, nullable=False),
)
sa.Index("ix_ceilings_ends_at", ceilings.c.ends_at)

known_people = sa.Table(
    "known_people",
    metadata,
    # No foreign key: the previous release, which does not know this table, deletes numbers.
    sa.Column("number_id", RowId, primary_key=True, autoincrement=False),
    sa.Column("client_id", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("since", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
)
sa.Index("ix_known_people_last_at", known_people.c.last_at)
sa.Index("ix_known_people_client_id_subject", known_people.c.client_id, known_people.c.subject)

guesses = sa.Table(
    "guesses",
    metadata,
    sa.Column("client_id", sa.Text, primary_key=True),
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("expected", sa.Double, nullable=False),
)
sa.Index("ix_guesses_minute", guesses.c.minute)

guard_alarms = sa.Table(
    "guard_alarms",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("until", Time, nullable=False),
)
sa.Index("ix_guard_alarms_until", guard_alarms.c.until)
