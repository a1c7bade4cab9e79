"""Whose turn it is to write, among the processes on one SQLite file.

SQLite's lock goes to whoever asks in the right moment, and who has just released it does: the others could wait for
ever. So whoever waits for SQLite's lock holds one of our own meanwhile, and nobody can get in between.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otp_service.errors import Unavailable

WAIT_SECONDS = 0.8
"""For our own lock and SQLite's together: our own processes take milliseconds; who waits for longer is told that the
database is away."""
_LOOK_EVERY_SECONDS = 0.002
_SUFFIX = "-turn"


class WriteLock:
    """Of the database file at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path + _SUFFIX
        self._file: int | None = None

    @contextmanager
    def held(self) -> Iterator[float]:
        """Nobody else of ours asks for SQLite's lock while the block runs; for how many seconds it may. Raises
        Unavailable."""
        file = self._open()
        until = time.monotonic() + WAIT_SECONDS
        while not _taken(file):
            if time.monotonic() > until:
                raise Unavailable("SQLITE_BUSY")
            time.sleep(_LOOK_EVERY_SECONDS)
        try:
            yield max(0.0, until - time.monotonic())
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _open(self) -> int:
        if self._file is None:
            try:
                self._file = _opened(self._path)
            except OSError:
                raise Unavailable("SQLITE_CANTOPEN") from None
        return self._file

    def close(self) -> None:
        """Gives up the file."""
        if self._file is not None:
            os.close(self._file)


def _opened(path: str) -> int:
    """For whoever may write the database, also where root came first; as SQLite does with its own files."""
    database = Path(path.removesuffix(_SUFFIX)).stat()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, database.st_mode & 0o777)
    if os.geteuid() == 0:
        os.fchown(file, database.st_uid, database.st_gid)
    return file


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
