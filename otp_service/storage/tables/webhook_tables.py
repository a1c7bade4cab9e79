"""The tables of webhooks."""

import sqlalchemy as sa

from otp_service.storage.tables.base import PENDING, SENDING, RowId, Time, metadata, partial_index

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("client_id", sa.ForeignKey("clients.id"), nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("secret_sealed", sa.Text),
    sa.Column("former_secret_sealed", sa.Text),
    sa.Column("former_until", Time),
    sa.Column("failing_since", Time),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("webhook_id", sa.ForeignKey("webhooks.id"), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("number_id", RowId),  # no foreign key: the previous release, which does not know it, deletes numbers
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("due_at", Time),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("ended_at", Time),
    sa.Column("last_status_code", sa.Integer),
    sa.Column("last_error", sa.Text),
)
_c = webhook_deliveries.c
sa.Index("ix_webhook_deliveries_webhook_id", _c.webhook_id, _c.created_at, _c.id)
_undelivered = webhook_deliveries.c.status == PENDING
partial_index("ix_webhook_deliveries_due", _undelivered, webhook_deliveries.c.due_at)
partial_index(
    "ix_webhook_deliveries_pending", _undelivered, webhook_deliveries.c.webhook_id, webhook_deliveries.c.due_at
)
_posting = webhook_deliveries.c.status == SENDING
partial_index("ix_webhook_deliveries_sending", _posting, webhook_deliveries.c.due_at)
_reported = webhook_deliveries.c.ended_at.is_not(None)
partial_index("ix_webhook_deliveries_ended", _reported, webhook_deliveries.c.ended_at)
_about = webhook_deliveries.c.number_id.is_not(None)
partial_index("ix_webhook_deliveries_numbered", _about, webhook_deliveries.c.number_id, webhook_deliveries.c.ended_at)
partial_index("ix_webhook_deliveries_numbered_ended", _about, webhook_deliveries.c.ended_at)
