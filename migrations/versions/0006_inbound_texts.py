"""What the newest keyword of a number says, and phrases that are found by their digest."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("opt_outs", sa.Column("texted_at", sa.Double(), nullable=True))
    op.add_column("verifications", sa.Column("phrase_digest", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("verifications", "phrase_digest")
    op.drop_column("opt_outs", "texted_at")
