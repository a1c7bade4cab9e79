"""Measures what each statement of the running service reads, as counted by the database itself."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.engine import Engine

from otp_service.storage.tables import metadata

GROWING = frozenset(metadata.tables) - {
    "clients",
    "api_keys",
    "webhooks",
    "keyring",
    "inbound_cursor",
    "sweep_turn",
    "timekeeping",
    "guard_lists",
    "guesses",
}
"""The tables that grow with use. `guesses` keeps an hour, which each look reads."""
STEPS_AT_ONCE = 50
_READS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_SCANS = re.compile(r"SCAN (\w+)(?! USING)")


@dataclass
class Read:
    """One statement as it ran. `work`: steps of SQLite's virtual machine, or rows that PostgreSQL visited.

    `scanned`: growing tables that are read from one end to the other; `index_only`: indexes that answered alone.
    """

    statement: str = field(repr=False)
    work: int = 0
    given: Any = field(default=None, repr=False)
    scanned: set[str] = field(default_factory=set)
    index_only: set[str] = field(default_factory=set)


class Reading:
    """Records every statement as the drivers see it, including those that bypass SQLAlchemy."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self._connections: list[Any] = []
        self._lock = threading.Lock()

    def begun(self, transaction: sa.Connection) -> None:
        """Listens to the driver's connection of a transaction."""
        connection: Any = transaction.connection.dbapi_connection
        with self._lock:
            if any(known is connection for known in self._connections):
                return
            self._connections.append(connection)
        if isinstance(connection, psycopg.Connection):
            connection.cursor_factory = _explaining(self)
        else:
            self._listen_to_sqlite(connection)

    def stop(self) -> None:
        """Restores the connections."""
        for connection in self._connections:
            if isinstance(connection, psycopg.Connection):
                connection.cursor_factory = psycopg.Cursor
            else:
                connection.set_trace_callback(None)
                connection.set_progress_handler(None, 0)

    def note(self, read: Read) -> None:
        """Records a statement."""
        with self._lock:
            self.reads.append(read)

    def _listen_to_sqlite(self, connection: sqlite3.Connection) -> None:
        # Until the next statement: rows are fetched after one has begun.
        running = [Read("")]

        def begun(statement: str) -> None:
            running[0] = Read(statement)
            if statement.startswith(_READS):
                self.note(running[0])

        def stepped() -> None:
            running[0].work += STEPS_AT_ONCE

        connection.set_trace_callback(begun)
        connection.set_progress_handler(stepped, STEPS_AT_ONCE)


@contextmanager
def reading(engine: Engine) -> Iterator[list[Read]]:
    """Records every statement of the block."""
    reading = Reading()
    sa.event.listen(engine, "begin", reading.begun)
    try:
        yield reading.reads
    finally:
        sa.event.remove(engine, "begin", reading.begun)
        reading.stop()


def _explaining(reading: Reading) -> type[psycopg.Cursor[Any]]:
    class Explaining(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            if str(query).startswith(_READS):
                read = Read(str(query), given=params)
                _explain(self.connection, read)
                reading.note(read)
            return super().execute(query, params, **more)

    return Explaining


def _explain(connection: "psycopg.Connection[Any]", read: Read) -> None:
    """Runs the statement and undoes its effect; it then runs again for the service."""
    alone = connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE
    begin, undo = ("BEGIN", ["ROLLBACK"]) if alone else ("SAVEPOINT it", ["ROLLBACK TO it", "RELEASE it"])
    cursor: psycopg.Cursor[Any] = psycopg.Cursor(connection)
    cursor.execute(begin)
    try:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {read.statement}", read.given, prepare=False)
        ((found,),) = cursor.fetchall()
        _add(read, found[0]["Plan"])
    except psycopg.IntegrityError:
        pass  # it will say so when it runs
    for statement in undo:
        cursor.execute(statement)


def _add(read: Read, node: dict[str, Any]) -> None:
    """Adds a node of the plan and all nodes below it."""
    table = node.get("Relation Name")
    if table in GROWING and "Scan" in node["Node Type"]:
        rows = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        read.work += round(rows * node.get("Actual Loops", 0))
    if node["Node Type"] == "Seq Scan" and table in GROWING:
        read.scanned.add(table)
    if node["Node Type"] == "Index Only Scan":
        read.index_only.add(node["Index Name"])
    for below in node.get("Plans", []):
        _add(read, below)


def add_scans(engine: Engine, reads: list[Read]) -> None:
    """Adds the scans in SQLite's plans, and in the generic plans of PostgreSQL."""
    find = _scans_of_sqlite if engine.dialect.name == "sqlite" else _scans_for_all_values
    known: dict[str, set[str]] = {}
    with engine.connect() as tx:
        for read in reads:
            if read.statement not in known:
                known[read.statement] = find(tx.connection.cursor(), read)
            read.scanned |= known[read.statement]


def _scans_of_sqlite(cursor: Any, read: Read) -> set[str]:
    cursor.execute(f"EXPLAIN QUERY PLAN {read.statement}")
    return {match[1] for line in cursor.fetchall() for match in _SCANS.finditer(line[3])} & GROWING


_TYPES = {float: "double precision", int: "bigint", bool: "boolean"}


def _scans_for_all_values(cursor: Any, read: Read) -> set[str]:
    """Returns the scans of generic plans. Batches are left out: a scan is right if a batch is most of a small table."""
    if "SKIP LOCKED" in read.statement:
        return set()
    names = dict.fromkeys(re.findall(r"%\((\w+)\)s", read.statement))
    numbered = {name: f"${at}" for at, name in enumerate(names, 1)}
    prepared = re.sub(r"%\((\w+)\)s", lambda found: numbered[found[1]], read.statement)
    types = ", ".join(_TYPES.get(type(read.given[name]), "unknown") for name in names)
    values = ", ".join("NULL" for _ in names)
    cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    cursor.execute(f"PREPARE it ({types}) AS {prepared}" if names else f"PREPARE it AS {prepared}")
    cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE it ({values})" if names else "EXPLAIN (FORMAT JSON) EXECUTE it")
    ((found,),) = cursor.fetchall()
    cursor.execute("DEALLOCATE it")
    planned = Read(read.statement)
    _add(planned, found[0]["Plan"])
    return planned.scanned
