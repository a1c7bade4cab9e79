"""When a verification's last attempt was spent: a check that died after that must not keep it pending."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verifications", sa.Column("spent_at", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("verifications", "spent_at")
