"""The guard against SMS pumping: its rows, decisions, lists, ceilings, known people and guesses."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = (
    "guard_rows",
    "guard_decisions",
    "guard_lists",
    "guard_audit",
    "ceilings",
    "known_people",
    "guesses",
    "guard_alarms",
)


def _partial_index(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "guard_rows",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_guard_rows")),
    )
    op.create_index("ix_guard_rows_touched_at", "guard_rows", ["touched_at"])
    op.create_table(
        "guard_decisions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("network_digest", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guard_decisions")),
    )
    op.create_index("ix_guard_decisions_at", "guard_decisions", ["at", "id"])
    op.create_index("ix_guard_decisions_pseudonym", "guard_decisions", ["pseudonym", "at"])
    op.create_table(
        "guard_lists",
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_guard_lists")),
    )
    op.create_table(
        "guard_audit",
        sa.Column("id", RowId, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guard_audit")),
    )
    op.create_index("ix_guard_audit_at", "guard_audit", ["at"])
    op.create_table(
        "ceilings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("of_whom", sa.Text(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_ceilings")),
    )
    op.create_index("ix_ceilings_ends_at", "ceilings", ["ends_at"])
    op.create_table(
        "known_people",
        sa.Column("number_id", RowId, nullable=False, autoincrement=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number_id", "client_id", "subject", name=op.f("pk_known_people")),
    )
    op.create_index("ix_known_people_client_id_subject", "known_people", ["client_id", "subject"])
    op.create_index("ix_known_people_last_at", "known_people", ["last_at"])
    op.create_table(
        "guesses",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("expected", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "purpose", "minute", name=op.f("pk_guesses")),
    )
    op.create_index("ix_guesses_minute", "guesses", ["minute"])
    op.create_table(
        "guard_alarms",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_guard_alarms")),
    )
    op.create_index("ix_guard_alarms_until", "guard_alarms", ["until"])
    op.add_column("verifications", sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in ("guard_keys", "pseudonym"):
        op.add_column("sends", sa.Column(name, sa.Text(), nullable=True))
    _partial_index("ix_sends_screened", "sends", "started_at", "pseudonym IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_sends_screened", "sends")
    for name in ("pseudonym", "guard_keys"):
        op.drop_column("sends", name)
    op.drop_column("verifications", "blocked")
    for table in TABLES:
        op.drop_table(table)
