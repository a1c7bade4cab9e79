"""The queue of notifications has an index by client, since clients take turns."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # An index of a large table takes longer than any statement of the service may.
        op.execute("SET LOCAL statement_timeout = 0")
    queued = sa.text("status = 'queued'")
    op.create_index(
        "ix_notifications_queued",
        "notifications",
        ["client_id", "due_at"],
        if_not_exists=True,
        sqlite_where=queued,
        postgresql_where=queued,
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_queued", table_name="notifications")
