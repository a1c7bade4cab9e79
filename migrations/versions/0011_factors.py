"""Second factors: subjects, their factors, recovery codes, devices and wrong checks; challenges are verifications."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _reference(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"], name=op.f(f"fk_{table}_subject_id"))


def _partial_index(table: str, name: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(f"ix_{table}_{name}", table, [column], sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "subjects",
        sa.Column("id", RowId, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("codes_created_at", sa.Double(), nullable=True),
        sa.Column("idle_since", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("client_id", "subject", name=op.f("uq_subjects_client_id_subject")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_subjects_client_id")),
        sqlite_autoincrement=True,
    )
    _partial_index("subjects", "idle", "idle_since", "idle_since IS NOT NULL")
    op.create_table(
        "factors",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject_id", RowId, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("preferred", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("number_id", RowId, nullable=True),
        sa.Column("number_masked", sa.Text(), nullable=True),
        sa.Column("secret_sealed", sa.Text(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("verified_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        _reference("factors"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_factors")),
    )
    op.create_index("ix_factors_subject_id", "factors", ["subject_id"])
    _partial_index("factors", "number_id", "number_id", "number_id IS NOT NULL")
    _partial_index("factors", "unverified", "created_at", "status = 'unverified'")
    op.create_table(
        "recovery_codes",
        sa.Column("id", RowId, nullable=False),
        sa.Column("subject_id", RowId, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        _reference("recovery_codes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
    )
    op.create_index("ix_recovery_codes_subject_id", "recovery_codes", ["subject_id"])
    op.create_table(
        "devices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject_id", RowId, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        _reference("devices"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("digest", name=op.f("uq_devices_digest")),
    )
    op.create_index("ix_devices_subject_id", "devices", ["subject_id"])
    op.create_index("ix_devices_expires_at", "devices", ["expires_at"])
    op.create_table(
        "subject_failures",
        sa.Column("subject_id", RowId, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("waits_until", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        _reference("subject_failures"),
        sa.PrimaryKeyConstraint("subject_id", "kind", name=op.f("pk_subject_failures")),
    )
    op.create_index("ix_subject_failures_last_at", "subject_failures", ["last_at"])
    op.add_column("verifications", sa.Column("subject_id", RowId, nullable=True))
    op.add_column("verifications", sa.Column("factor_id", sa.Text(), nullable=True))
    op.create_index(
        "ix_verifications_challenges",
        "verifications",
        ["subject_id", "created_at"],
        sqlite_where=sa.text("subject_id IS NOT NULL"),
        postgresql_where=sa.text("subject_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_verifications_challenges", "verifications")
    op.drop_column("verifications", "factor_id")
    op.drop_column("verifications", "subject_id")
    for table in ("subject_failures", "devices", "recovery_codes", "factors", "subjects"):
        op.drop_table(table)
