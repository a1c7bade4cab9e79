"""The table of notifications, a queue."""

import sqlalchemy as sa

from otp_service.storage.tables.base import QUEUED, SENDING, RowId, Time, metadata, partial_index

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
partial_index("ix_notifications_due", _queued, notifications.c.due_at)
partial_index("ix_notifications_queued", _queued, notifications.c.client_id, notifications.c.due_at)
_sending = notifications.c.status == SENDING
partial_index("ix_notifications_sending", _sending, notifications.c.due_at)
_addressed = notifications.c.number_id.is_not(None)
partial_index("ix_notifications_numbered", _addressed, notifications.c.number_id, notifications.c.ended_at)
partial_index("ix_notifications_told", _addressed, notifications.c.ended_at)
_over = notifications.c.ended_at.is_not(None)
partial_index("ix_notifications_ended", _over, notifications.c.ended_at)
_asked = notifications.c.request_id.is_not(None)
partial_index("ix_notifications_request_id", _asked, notifications.c.request_id)
_named = notifications.c.message_digest.is_not(None)
partial_index("ix_notifications_message_digest", _named, notifications.c.message_digest)
_followed = notifications.c.poll_at.is_not(None)
partial_index("ix_notifications_poll_at", _followed, notifications.c.poll_at)
