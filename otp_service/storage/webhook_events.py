"""Events for webhooks: a delivery for each webhook that wants the event, in the transaction that makes it true.

A delivery keeps what the client sees of the row at that moment, but no sealed value: it refers to the number's row.
"""

import json
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_AT_ONCE = 500
_NEW_ID = {
    "postgresql": "replace(CAST(gen_random_uuid() AS TEXT), '-', '')",
    "sqlite": "lower(hex(randomblob(16)))",
}
_OBJECT = {"postgresql": "CAST(json_build_object({}) AS TEXT)", "sqlite": "json_object({})"}
# SQLite writes a time with 15 digits, which is not all of it.
_TIME = {"postgresql": "{0}", "sqlite": "CASE WHEN {0} IS NOT NULL THEN printf('%!.7f', {0}) END"}


class EventSource:
    """A table whose rows have events, named after a noun: `verification.approved`.

    `columns`: what a delivery keeps of a row; `status_sql`: what has become of the row `changed`, in SQL;
    `gets_sql`: whether the client of a row of `webhooks` gets the events of the row `changed`, in SQL.
    """

    def __init__(
        self,
        noun: str,
        key: sa.Column[Any],
        columns: Sequence[sa.Column[Any]],
        *,
        status_sql: str = "changed.status",
        gets_sql: str = "webhooks.client_id = changed.client_id",
    ) -> None:
        self._noun, self._key, self._columns, self._status_sql = noun, key, columns, status_sql
        self._gets_sql = gets_sql
        self._statements: dict[str, sa.TextClause] = {}

    def record(self, tx: Connection, keys: Collection[Any], *, now: float) -> None:
        """Record the events of rows that have just changed."""
        ordered = list(keys)
        for start in range(0, len(ordered), _AT_ONCE):
            tx.execute(self._statement(tx.dialect.name), {"keys": ordered[start : start + _AT_ONCE], "now": now})

    def _statement(self, dialect: str) -> sa.TextClause:
        if dialect not in self._statements:
            sql = self.insert_sql(dialect, str(self._key.table), f"changed.{self._key.name} IN :keys")
            keys = sa.bindparam("keys", expanding=True, type_=self._key.type)
            self._statements[dialect] = sa.text(sql).bindparams(keys)
        return self._statements[dialect]

    def insert_sql(self, dialect: str, rows: str, where: str) -> str:
        """Return the SQL that records the events of `rows`, a table or a CTE, at the time `:now`."""
        event = f"'{self._noun}.' || {self._status_sql}"
        pairs = ", ".join(f"'{column.name}', {_value(dialect, column)}" for column in self._columns)
        wanted = (f"'% ' || {event} || ' %'", f"'% {self._noun}.* %'", "'% * %'")
        return f"""
            INSERT INTO webhook_deliveries
                (id, webhook_id, type, data, number_id, status, created_at, due_at, tries)
            SELECT 'whd_' || {_NEW_ID[dialect]}, webhooks.id, {event}, {_OBJECT[dialect].format(pairs)},
                changed.number_id, 'pending', :now, :now, 0
            FROM {rows} AS changed JOIN webhooks ON ({self._gets_sql})
            WHERE {where} AND webhooks.status = 'active'
                AND ({" OR ".join(f"' ' || webhooks.events || ' ' LIKE {each}" for each in wanted)})"""

    def parse(self, data: str) -> SimpleNamespace:
        """Return what a delivery keeps of a row, with None for a column that a former release did not keep."""
        kept = json.loads(data)
        return SimpleNamespace(**{column.name: _read(column, kept.get(column.name)) for column in self._columns})


def _value(dialect: str, column: sa.Column[Any]) -> str:
    name = f"changed.{column.name}"
    return _TIME[dialect].format(name) if isinstance(column.type, sa.Double) else name


def _read(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, sa.Double):
        return float(value)
    return bool(value) if isinstance(column.type, sa.Boolean) else value


def record_object(tx: Connection, client_id: str | None, event_type: str, data: str, *, now: float) -> None:
    """Record an event about what `data` says, as JSON, for a client; None: for every client."""
    group = event_type.partition(".")[0] + ".*"
    given = {"client": client_id, "type": event_type, "group": group, "data": data, "now": now}
    tx.execute(sa.text(_RECORD_OBJECT.format(id=_NEW_ID[tx.dialect.name])), given)


_RECORD_OBJECT = """
    INSERT INTO webhook_deliveries (id, webhook_id, type, data, status, created_at, due_at, tries)
    SELECT 'whd_' || {id}, id, :type, :data, 'pending', :now, :now, 0
    FROM webhooks WHERE client_id = COALESCE(:client, client_id) AND status = 'active'
        AND (' ' || events || ' ' LIKE '% ' || :type || ' %'
            OR ' ' || events || ' ' LIKE '% ' || :group || ' %'
            OR ' ' || events || ' ' LIKE '% * %')"""
