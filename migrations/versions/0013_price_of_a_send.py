"""The price that a message holds under the ceilings, and when the call of its send began."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sends", sa.Column("prices", sa.Text(), nullable=True))
    op.add_column("sends", sa.Column("begun_at", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("sends", "begun_at")
    op.drop_column("sends", "prices")
