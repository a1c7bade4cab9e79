"""How the database is connected to: the driver and the pool. A driver is imported where it is used."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

POSTGRES_CONNECTIONS = 10
SQLITE_READERS = 2


def make_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`; the driver is chosen here.

    Execution options: `otp_read_only`, and `otp_one_statement` where a transaction has one statement.
    """
    parsed = sa.make_url(url)
    return _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgres(parsed)


def _sqlite(url: sa.URL) -> Engine:
    from otp_service.database import sqlite

    engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.QueuePool, pool_size=SQLITE_READERS + 1)
    sa.event.listen(engine, "connect", sqlite.prepare)
    sa.event.listen(engine, "begin", sqlite.begin)
    return engine


def _postgres(url: sa.URL) -> Engine:
    from otp_service.database import postgres

    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=1,
        connect_args=postgres.CONNECT_OPTIONS,
    )
    sa.event.listen(engine, "connect", postgres.prepare)
    sa.event.listen(engine, "begin", postgres.begin)
    sa.event.listen(engine, "checkout", postgres.require_open)
    sa.event.listen(engine, "checkin", postgres.end_autocommit)
    return engine
