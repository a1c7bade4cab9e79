"""Decoys, and the indexes that find verifications by number, subject or reference."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FOUND_BY = {"number": "number_id", "subject": "subject", "reference": "reference"}


def upgrade() -> None:
    op.add_column("verifications", sa.Column("decoy", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name, column in FOUND_BY.items():
        known = sa.text(f"{column} IS NOT NULL")
        columns = [column, "client_id", "created_at", "id"]
        op.create_index(
            f"ix_verifications_by_{name}", "verifications", columns, sqlite_where=known, postgresql_where=known
        )


def downgrade() -> None:
    for name in FOUND_BY:
        op.drop_index(f"ix_verifications_by_{name}", "verifications")
    op.drop_column("verifications", "decoy")
