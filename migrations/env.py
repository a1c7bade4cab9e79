"""Runs migrations on the connection that `otp_service.database.migrate` opened; the caller commits."""

from alembic import context

from otp_service.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=False,
    transactional_ddl=True,
    compare_type=True,
)
context.run_migrations()
