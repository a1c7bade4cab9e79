"""What the sweeps look for has indexes of its own; a check finds room beside its row; SQLite's time is kept.

Building them holds up writers for a second or two per million rows; built before by CREATE INDEX CONCURRENTLY, under
the same names, they are taken as they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _index(table: str, name: str, column: str, where: str | None = None) -> None:
    op.create_index(
        f"ix_{table}_{name}",
        table,
        [column],
        unique=False,
        if_not_exists=True,
        sqlite_where=sa.text(where) if where else None,
        postgresql_where=sa.text(where) if where else None,
    )


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # An index of a large table takes longer than any statement of the service may.
        op.execute("SET LOCAL statement_timeout = 0")
    op.create_table(
        "sweep_turn",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_turn")),
    )
    op.create_table(
        "timekeeping",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=True),
        sa.Column("anchor", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timekeeping")),
    )
    _index("numbers", "sealed", "seen_until", "sealed IS NOT NULL")
    _index("numbers", "wiped", "seen_until", "sealed IS NULL")
    _index("verifications", "told", "ended_at", "number_id IS NOT NULL")
    _index("notifications", "told", "ended_at", "number_id IS NOT NULL")
    _index("fires", "created_at", "created_at")
    # The two of `numbers` serve the release before as well: it asks for either kind, too.
    op.drop_index("ix_numbers_seen_until", table_name="numbers")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE verifications SET (fillfactor = 90)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE verifications RESET (fillfactor)")
    op.create_index("ix_numbers_seen_until", "numbers", ["seen_until"], unique=False)
    op.drop_index("ix_fires_created_at", table_name="fires")
    op.drop_index("ix_notifications_told", table_name="notifications")
    op.drop_index("ix_verifications_told", table_name="verifications")
    op.drop_index("ix_numbers_wiped", table_name="numbers")
    op.drop_index("ix_numbers_sealed", table_name="numbers")
    op.drop_table("timekeeping")
    op.drop_table("sweep_turn")
