"""The lock that lets the processes on one SQLite file write in turn.

SQLite's own lock is unfair: a process that has just released it gets it again, and the others may wait forever. So a
process that waits for SQLite's lock holds this one, and no other process can overtake it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otp_service.errors import Unavailable

WAIT_SECONDS = 0.8
"""For this lock and SQLite's together. Our processes hold them for milliseconds; after this the database counts as
unavailable."""
_TRY_EVERY_SECONDS = 0.002
_SUFFIX = "-turn"


class WriteLock:
    """The lock of the database file at `path`, in a file beside it."""

    def __init__(self, path: str) -> None:
        self._path = path + _SUFFIX
        self._file: int | None = None

    @contextmanager
    def held(self) -> Iterator[float]:
        """Hold the lock while the block runs; the value is how many seconds are left. Raises Unavailable."""
        file = self._open()
        until = time.monotonic() + WAIT_SECONDS
        while not _try_lock(file):
            if time.monotonic() > until:
                raise Unavailable("SQLITE_BUSY")
            time.sleep(_TRY_EVERY_SECONDS)
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
        """Close the lock file."""
        if self._file is not None:
            os.close(self._file)


def _opened(path: str) -> int:
    """Open or make the lock file, with the owner and mode of the database, as SQLite does with its own files."""
    database = Path(path.removesuffix(_SUFFIX)).stat()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, database.st_mode & 0o777)
    if os.geteuid() == 0:
        os.fchown(file, database.st_uid, database.st_gid)
    return file


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
