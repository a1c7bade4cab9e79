"""Notifications, receipts, opt-outs and what people text us."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _index(table: str, name: str, columns: list[str], where: str) -> None:
    op.create_index(
        f"ix_{table}_{name}",
        table,
        columns,
        unique=False,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )


def upgrade() -> None:
    op.add_column("verifications", sa.Column("channel", sa.Text(), server_default="sms", nullable=False))
    op.add_column("verifications", sa.Column("phrase_sealed", sa.Text(), nullable=True))
    for column in ("message_digest", "message_sealed", "receipt"):
        op.add_column("sends", sa.Column(column, sa.Text(), nullable=True))
    op.add_column("sends", sa.Column("poll_at", sa.Double(), nullable=True))
    op.add_column("sends", sa.Column("polls", sa.Integer(), server_default="0", nullable=False))
    op.add_column("events", sa.Column("route", sa.Text(), nullable=True))
    _index("sends", "message_digest", ["message_digest"], "message_digest IS NOT NULL")
    _index("sends", "poll_at", ["poll_at"], "poll_at IS NOT NULL")
    _create_notifications()
    _create_opt_outs()
    op.create_table(
        "inbound_cursor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recent", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_cursor")),
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("number_id", RowId, nullable=True),
        sa.Column("number_masked", sa.Text(), nullable=False),
        sa.Column("request_id", RowId, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("route", sa.Text(), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("carrier", sa.Text(), nullable=True),
        sa.Column("text_sealed", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("message_digest", sa.Text(), nullable=True),
        sa.Column("message_sealed", sa.Text(), nullable=True),
        sa.Column("poll_at", sa.Double(), nullable=True),
        sa.Column("polls", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_notifications_client_id")),
        sa.ForeignKeyConstraint(["number_id"], ["numbers.id"], name=op.f("fk_notifications_number_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    _index("notifications", "due", ["due_at"], "status = 'queued'")
    _index("notifications", "sending", ["due_at"], "status = 'sending'")
    _index("notifications", "numbered", ["number_id", "ended_at"], "number_id IS NOT NULL")
    _index("notifications", "ended", ["ended_at"], "ended_at IS NOT NULL")
    _index("notifications", "request_id", ["request_id"], "request_id IS NOT NULL")
    _index("notifications", "message_digest", ["message_digest"], "message_digest IS NOT NULL")
    _index("notifications", "poll_at", ["poll_at"], "poll_at IS NOT NULL")


def _create_opt_outs() -> None:
    op.create_table(
        "opt_outs",
        sa.Column("number_id", RowId, nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("listed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["number_id"], ["numbers.id"], name=op.f("fk_opt_outs_number_id")),
        sa.PrimaryKeyConstraint("number_id", name=op.f("pk_opt_outs")),
    )
    op.create_table(
        "fires",
        sa.Column("id", RowId, nullable=False),
        sa.Column("number_id", RowId, nullable=False),
        sa.Column("keyword", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("fired_at", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("echoed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["number_id"], ["numbers.id"], name=op.f("fk_fires_number_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fires")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fires_number_id"), "fires", ["number_id"], unique=False)
    _index("fires", "due_at", ["due_at"], "due_at IS NOT NULL")


def downgrade() -> None:
    for table in ("inbound_cursor", "fires", "opt_outs", "notifications"):
        op.drop_table(table)
    op.drop_index("ix_sends_poll_at", table_name="sends")
    op.drop_index("ix_sends_message_digest", table_name="sends")
    for column in ("polls", "poll_at", "receipt", "message_sealed", "message_digest"):
        op.drop_column("sends", column)
    op.drop_column("events", "route")
    op.drop_column("verifications", "phrase_sealed")
    op.drop_column("verifications", "channel")
