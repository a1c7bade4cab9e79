"""What each statement of the running service reads: counted by the database itself, not guessed from its plan."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from otp_service.storage.tables import metadata

GROWING = frozenset(metadata.tables) - {"clients", "api_keys", "keyring", "inbound_cursor", "sweep_turn"}
"""The tables that grow with use."""
STEPS_AT_ONCE = 50
_SCANS = re.compile(r"SCAN (\w+)(?! USING)")


@dataclass
class Read:
    """One statement as it ran. `work`: steps of SQLite's virtual machine, or rows that PostgreSQL visited.

    `scanned`: growing tables that are read from one end to the other; `index_only`: indexes that answered alone.
    """

    statement: str
    work: int = 0
    given: Any = field(default=None, repr=False)
    scanned: set[str] = field(default_factory=set)
    index_only: set[str] = field(default_factory=set)


@contextmanager
def reading(engine: Engine) -> Iterator[list[Read]]:
    """Notes every statement of the block."""
    reads: list[Read] = []
    watch = _watch_sqlite if engine.dialect.name == "sqlite" else _watch_postgres
    lock = threading.Lock()

    def executing(_: Any, cursor: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            given = parameters[0] if many else parameters
            read = Read(statement, given=given)
            watch(cursor.connection, read, given)
            with lock:
                reads.append(read)

    sa.event.listen(engine, "before_cursor_execute", executing)
    try:
        yield reads
    finally:
        sa.event.remove(engine, "before_cursor_execute", executing)


def _watch_sqlite(connection: sqlite3.Connection, read: Read, given: Any) -> None:
    plan = connection.execute(f"EXPLAIN QUERY PLAN {read.statement}", given).fetchall()
    read.scanned = {match[1] for line in plan for match in _SCANS.finditer(line[3])} & GROWING

    def count() -> None:
        read.work += STEPS_AT_ONCE

    # Until the next statement of this connection: rows are fetched after the statement has begun.
    connection.set_progress_handler(count, STEPS_AT_ONCE)


def _watch_postgres(connection: "psycopg.Connection[Any]", read: Read, given: Any) -> None:
    """Runs it twice; the first time is undone."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT explaining")
        try:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {read.statement}", given)
            ((found,),) = cursor.fetchall()
            _add(read, found[0]["Plan"])
        except psycopg.IntegrityError:
            pass  # it will say so when it runs
        cursor.execute("ROLLBACK TO explaining")
        cursor.execute("RELEASE explaining")


def _add(read: Read, node: dict[str, Any]) -> None:
    """A node of the plan and all below it."""
    table = node.get("Relation Name")
    if table in GROWING and "Scan" in node["Node Type"]:
        rows = (
            node.get("Actual Rows", 0)
            + node.get("Rows Removed by Filter", 0)
            + node.get("Rows Removed by Index Recheck", 0)
        )
        read.work += round(rows * node.get("Actual Loops", 0))
    if node["Node Type"] == "Seq Scan" and table in GROWING:
        read.scanned.add(table)
    if node["Node Type"] == "Index Only Scan":
        read.index_only.add(node["Index Name"])
    for below in node.get("Plans", []):
        _add(read, below)


_TYPES = {float: "double precision", int: "bigint", bool: "boolean"}


def generic_scans(engine: Engine, read: Read) -> set[str]:
    """The growing tables that PostgreSQL would scan if it planned once for all values.

    What takes a batch is left out: where one may be a good part of a small table, a scan is right.
    """
    if "SKIP LOCKED" in read.statement:
        return set()
    names = dict.fromkeys(re.findall(r"%\((\w+)\)s", read.statement))
    numbered = {name: f"${at}" for at, name in enumerate(names, 1)}
    prepared = re.sub(r"%\((\w+)\)s", lambda found: numbered[found[1]], read.statement)
    types = ", ".join(_TYPES.get(type(read.given[name]), "unknown") for name in names)
    values = ", ".join("NULL" for _ in names)
    scanned = Read(read.statement)
    with engine.begin() as tx:
        cursor = tx.connection.cursor()
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE it ({types}) AS {prepared}" if names else f"PREPARE it AS {prepared}")
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE it ({values})" if names else "EXPLAIN (FORMAT JSON) EXECUTE it")
        ((found,),) = cursor.fetchall()
        _add(scanned, found[0]["Plan"])
        cursor.execute("DEALLOCATE it")
    return scanned.scanned
