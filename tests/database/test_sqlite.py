"""New connections to SQLite."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

from otp_service.database import sqlite
from tests.support.patience import PATIENCE

FILES = 150
AT_ONCE = 6


def test_connections_at_once_to_a_new_file_all_use_wal(tmp_path: Path) -> None:
    together = Barrier(AT_ONCE)

    def journal(path: Path) -> str:
        with closing(sqlite3.connect(path)) as connection:
            together.wait()
            sqlite.prepare(connection, PATIENCE)
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(FILES):
            journals = list(threads.map(journal, [tmp_path / f"{number}.db"] * AT_ONCE))
            assert journals == ["wal"] * AT_ONCE
