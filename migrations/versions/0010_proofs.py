"""Proofs: what a verification keeps of its proof, and the hash of its session, which a proof carries."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = {
    "session_hash": sa.Text(),
    "proof_id": sa.Text(),
    "proof_key": sa.Text(),
    "proof_expires_at": sa.Double(),
    "redeemed_at": sa.Double(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("verifications", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("verifications", name)
