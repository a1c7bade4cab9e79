"""A year of old rows in every table. None is due, so no statement should read them."""

import sqlalchemy as sa

AT_ONCE = 250_000

# As in life: ids in no order, times over a year. One of `every` is of the last day and still has its number.
_WORDS = {
    "id": "'old_' || ((n * 2654435761) % 4294967296) || '_' || n",
    "recent": "n % CAST(:every AS bigint) = 0",
    "told": "n % CAST(2 * :every AS bigint) = 0",
    "ended": "CASE WHEN {recent} THEN :now - 100 - n % 80000 ELSE {long_ago} END",
    "long_ago": ":now - 86500 - 6.0 * (n % 5000000)",
    "subject": "(SELECT id FROM subjects WHERE subject = 'old ' || n AND client_id = :client)",
    "number": "(SELECT id FROM numbers WHERE digest = 'old:' || (n / CAST(:every AS bigint)))",
}
_STATEMENTS = (
    """
INSERT INTO numbers (digest, sealed, seen_until)
SELECT 'old:' || (n / CAST(:every AS bigint)), CASE WHEN {told} THEN 'old:x' END,
  CASE WHEN {told} THEN :now + 100 ELSE :now - 86500 - n % 80000 END
FROM {series} WHERE {recent}
""",
    """
INSERT INTO verifications (id, client_id, purpose, number_id, number_masked, slot, status, pin_length, attempts,
  attempts_spent, attempts_compared, sends, sends_spent, created_at, expires_at, resend_at, ended_at,
  delivery_status, delivery_route, delivery_at, subject, reference)
SELECT {id}, :client, 'signup', CASE WHEN {recent} THEN {number} END, '+57******0000', '', 'approved', 6, 5,
  1, 0, 3, 1, {ended} - 30, {ended} + 570, {ended}, {ended},
  'sent', 'pin', {ended} - 29, 'old ' || n % 20, 'old ' || n % 20
FROM {series}
""",
    """
INSERT INTO sends (verification_id, route, started_at, finished_at, outcome, reason, pseudonym)
SELECT {id}, 'pin', {ended} - 30, {ended} - 29, 'accepted', 'ok', '+573000000000' FROM {series}
""",
    """
INSERT INTO events (verification_id, at, type, result) SELECT {id}, {ended}, 'check', 'approved' FROM {series}
""",
    """
INSERT INTO guard_decisions (id, at, client_id, purpose, country, prefix, pseudonym, rule, reasons, mode, action)
SELECT {id}, {long_ago}, :client, 'signup', 'CO', '+57300000', '+57300' || n, 'prefix', '[]', 'record',
  CASE WHEN {told} THEN 'sent' ELSE 'refused' END
FROM {series} WHERE {recent}
""",
    """
INSERT INTO guard_rows (key, kind, client_id, prefix, state, touched_at)
SELECT 'old:' || n, 'block', NULL, '+57300000', 'null', :now - n % 86400 FROM {series} WHERE {recent}
""",
    """
INSERT INTO known_people (number_id, client_id, subject, since, last_at)
SELECT {number}, :client, 'old ' || n, {long_ago}, :now - n % 86400 FROM {series} WHERE {recent}
""",
    """
INSERT INTO ceilings (key, scope, of_whom, spent, most, price, ends_at)
SELECT 'old:' || n, 'total', '', 1, 2, 1, :now - n % 86400 FROM {series} WHERE {recent}
""",
    """
INSERT INTO guard_alarms (key, until) SELECT 'old:' || n, :now + 3600 + n % 80000 FROM {series} WHERE {recent}
""",
    """
INSERT INTO guard_audit (at, action, target) SELECT :now - n % 86400, 'deny', '+57300' FROM {series} WHERE {recent}
""",
    """
INSERT INTO failures (number_id, client_id, purpose, checks, waits_until, last_at)
SELECT {number}, :client, 'signup', 1, 0, :now - n % 86400 FROM {series} WHERE {recent}
""",
    """
INSERT INTO buckets (key, arrival, interval, tolerance)
SELECT 'sends_per_number:old:' || n, :now + 3600 + n % 80000, 60, 60 FROM {series} WHERE {recent}
""",
    """
INSERT INTO requests (client_id, key_digest, fingerprint, claimed_at, status, sealed)
SELECT :client, 'old:' || n, 'old:', :now - n % 80000, 201, 'old:' FROM {series} WHERE {recent}
""",
    """
INSERT INTO notifications (id, client_id, number_id, number_masked, status, segments, created_at, tries, ended_at)
SELECT {id}, :client, CASE WHEN {told} THEN {number} END, '+57******0000', 'sent', 1, :now - 100, 1,
  CASE WHEN {told} THEN :now - 50 ELSE {long_ago} END
FROM {series} WHERE {recent}
""",
    """
INSERT INTO opt_outs (number_id, opted_out, source, since)
SELECT {number}, true, 'user', :now - 100 FROM {series} WHERE {told}
""",
    """
INSERT INTO fires (number_id, keyword, created_at, tries, fired_at, outcome, reason)
SELECT {number}, 'STOP', :now - 100, 1, :now - 100, 'accepted', 'ok' FROM {series} WHERE {told}
""",
    """
INSERT INTO webhooks (id, client_id, url, events, status, created_at)
SELECT 'whk_old_' || n, :client, '', '*', 'deleted', :now FROM {series} WHERE n = CAST(:first AS bigint)
""",
    """
INSERT INTO webhook_deliveries (id, webhook_id, type, data, number_id, status, created_at, tries, ended_at)
SELECT {id}, 'whk_old_' || CAST(:first AS bigint), 'number.opted_out', 'null', CASE WHEN {told} THEN {number} END,
  'delivered', :now - 100, 1, CASE WHEN {told} THEN :now - 50 ELSE {long_ago} END
FROM {series} WHERE {recent}
""",
    """
INSERT INTO subjects (client_id, subject, created_at, codes_created_at, idle_since)
SELECT :client, 'old ' || n, {long_ago}, {long_ago}, CASE WHEN NOT ({told}) THEN :now - n % 86400 END
FROM {series} WHERE {recent}
""",
    """
INSERT INTO factors (id, subject_id, type, status, number_id, number_masked, secret_sealed, last_step, created_at)
SELECT 'fac_' || {id}, {subject}, 'sms', 'active', {number}, '+57******0000', NULL, NULL, {long_ago}
FROM {series} WHERE {told}
UNION ALL
SELECT 'fac_totp_' || {id}, {subject}, 'totp', 'active', NULL, NULL, 'old:x', 1, {long_ago}
FROM {series} WHERE {told}
""",
    """
INSERT INTO recovery_codes (subject_id, digest) SELECT {subject}, 'old:' || n FROM {series} WHERE {recent}
""",
    """
INSERT INTO devices (id, subject_id, digest, created_at, expires_at)
SELECT 'dev_' || {id}, {subject}, 'old:' || n, {long_ago}, :now + 3600 + n % 80000 FROM {series} WHERE {told}
""",
    """
INSERT INTO subject_failures (subject_id, kind, checks, waits_until, last_at)
SELECT {subject}, 'factors', 1, 0, :now - n % 86400 FROM {series} WHERE {told}
""",
    """
INSERT INTO verifications (id, client_id, purpose, number_id, number_masked, slot, status, pin_length, attempts,
  attempts_spent, attempts_compared, sends, sends_spent, created_at, expires_at, resend_at, ended_at,
  delivery_status, subject, subject_id, factor_id, channel)
SELECT 'chl_' || {id}, :client, 'login', NULL, '', '', 'approved', 6, 5,
  1, 1, 3, 0, {ended} - 30, {ended} + 570, {ended}, {ended},
  'sent', 'old ' || n, {subject}, 'fac_totp_' || {id}, 'totp'
FROM {series} WHERE {recent}
""",
)
MOST_VACUUMS = 20
_ALL_VISIBLE = "SELECT bool_and(relallvisible >= relpages) FROM pg_class WHERE relname IN ('sends', 'notifications')"
_SERIES = {
    "postgresql": "generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS s(n)",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last) SELECT n FROM s)",
}


def add(url: sa.URL, client_id: str, now: float, first: int, last: int, *, every: int) -> None:
    """Adds rows with these numbers for a client, with an engine that has no deadlines.

    PostgreSQL gets statistics of them, as it would over time. SQLite gets none, because ANALYZE never runs there.
    """
    engine = sa.create_engine(url)
    for start in range(first, last + 1, AT_ONCE):
        given = {
            "client": client_id,
            "now": now,
            "every": every,
            "first": start,
            "last": min(last, start + AT_ONCE - 1),
        }
        with engine.begin() as tx:
            for statement in _STATEMENTS:
                text = sa.text(_in_full(statement, tx.dialect.name))
                tx.execute(text, {name: given[name] for name in text.compile().params})
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _vacuum(connection)
    engine.dispose()


def _vacuum(connection: sa.Connection) -> None:
    """Gather statistics until all pages of the old rows count as visible: a transaction of others can prevent it."""
    for _ in range(MOST_VACUUMS):
        connection.exec_driver_sql("VACUUM ANALYZE")
        if connection.exec_driver_sql(_ALL_VISIBLE).scalar_one():
            return


def _in_full(statement: str, dialect: str) -> str:
    """Replaces the placeholders of a statement, which can contain others."""
    while "{" in statement:
        statement = statement.format(series=_SERIES[dialect], **_WORDS)
    return statement
