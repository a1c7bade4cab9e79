"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "buckets",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("arrival", sa.Double(), nullable=False),
        sa.Column("interval", sa.Double(), nullable=False),
        sa.Column("tolerance", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_buckets")),
    )
    op.create_index("ix_buckets_arrival", "buckets", ["arrival"], unique=False)
    op.create_table(
        "clients",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
        sa.UniqueConstraint("name", name=op.f("uq_clients_name")),
    )
    op.create_table(
        "keyring",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("index_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyring")),
    )
    op.create_table(
        "numbers",
        sa.Column("id", RowId, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("seen_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_numbers")),
        sa.UniqueConstraint("digest", name=op.f("uq_numbers_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_numbers_seen_until", "numbers", ["seen_until"], unique=False)
    op.create_table(
        "requests",
        sa.Column("id", RowId, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint("client_id", "key_digest", name=op.f("uq_requests_client_id_key_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_claimed_at", "requests", ["claimed_at"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", RowId, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_api_keys_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_index(op.f("ix_api_keys_client_id"), "api_keys", ["client_id"], unique=False)
    op.create_table(
        "failures",
        sa.Column("number_id", RowId, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("waits_until", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["number_id"], ["numbers.id"], name=op.f("fk_failures_number_id")),
        sa.PrimaryKeyConstraint("number_id", "client_id", "purpose", name=op.f("pk_failures")),
    )
    op.create_index("ix_failures_last_at", "failures", ["last_at"], unique=False)
    op.create_table(
        "verifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("number_id", RowId, nullable=True),
        sa.Column("number_masked", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("session_digest", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("pin_length", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempts_spent", sa.Integer(), nullable=False),
        sa.Column("attempts_compared", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("sends_spent", sa.Integer(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("carrier", sa.Text(), nullable=True),
        sa.Column("address_digest", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("resend_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("delivery_status", sa.Text(), nullable=False),
        sa.Column("delivery_route", sa.Text(), nullable=True),
        sa.Column("delivery_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_verifications_client_id")),
        sa.ForeignKeyConstraint(["number_id"], ["numbers.id"], name=op.f("fk_verifications_number_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verifications")),
    )
    op.create_index(
        "ix_verifications_ended",
        "verifications",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index(
        "ix_verifications_numbered",
        "verifications",
        ["number_id", "ended_at"],
        unique=False,
        sqlite_where=sa.text("number_id IS NOT NULL"),
        postgresql_where=sa.text("number_id IS NOT NULL"),
    )
    op.create_index(
        "ix_verifications_pending",
        "verifications",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "uq_verifications_slot",
        "verifications",
        ["client_id", "purpose", "slot"],
        unique=True,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "events",
        sa.Column("id", RowId, nullable=False),
        sa.Column("verification_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["verification_id"], ["verifications.id"], name=op.f("fk_events_verification_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_verification_id"), "events", ["verification_id"], unique=False)
    op.create_table(
        "sends",
        sa.Column("id", RowId, nullable=False),
        sa.Column("verification_id", sa.Text(), nullable=False),
        sa.Column("request_id", RowId, nullable=True),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("pepper_key", sa.Text(), nullable=True),
        sa.Column("pin_hash", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["verification_id"], ["verifications.id"], name=op.f("fk_sends_verification_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sends")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_sends_live",
        "sends",
        ["verification_id"],
        unique=False,
        sqlite_where=sa.text("pin_hash IS NOT NULL"),
        postgresql_where=sa.text("pin_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_sends_open",
        "sends",
        ["started_at"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_index(
        "ix_sends_request_id",
        "sends",
        ["request_id"],
        unique=False,
        sqlite_where=sa.text("request_id IS NOT NULL"),
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_sends_verification_id"), "sends", ["verification_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_sends_verification_id"), table_name="sends")
    op.drop_index(
        "ix_sends_request_id",
        table_name="sends",
        sqlite_where=sa.text("request_id IS NOT NULL"),
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_sends_open",
        table_name="sends",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_index(
        "ix_sends_live",
        table_name="sends",
        sqlite_where=sa.text("pin_hash IS NOT NULL"),
        postgresql_where=sa.text("pin_hash IS NOT NULL"),
    )
    op.drop_table("sends")
    op.drop_index(op.f("ix_events_verification_id"), table_name="events")
    op.drop_table("events")
    op.drop_index(
        "uq_verifications_slot",
        table_name="verifications",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index(
        "ix_verifications_pending",
        table_name="verifications",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index(
        "ix_verifications_numbered",
        table_name="verifications",
        sqlite_where=sa.text("number_id IS NOT NULL"),
        postgresql_where=sa.text("number_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_verifications_ended",
        table_name="verifications",
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.drop_table("verifications")
    op.drop_index("ix_failures_last_at", table_name="failures")
    op.drop_table("failures")
    op.drop_index(op.f("ix_api_keys_client_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index("ix_requests_claimed_at", table_name="requests")
    op.drop_table("requests")
    op.drop_index("ix_numbers_seen_until", table_name="numbers")
    op.drop_table("numbers")
    op.drop_table("keyring")
    op.drop_table("clients")
    op.drop_index("ix_buckets_arrival", table_name="buckets")
    op.drop_table("buckets")
