"""The tables of phone numbers: their index, who has opted out, and keywords sent to the campaign platform."""

import sqlalchemy as sa

from otp_service.storage.tables.base import RowId, Time, metadata, partial_index

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
