"""A real PgBouncer in transaction mode in front of a private PostgreSQL, if the program is installed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.support.postgres import ROLE, _end_with_parent, account
from tests.support.servers import free_port

START_SECONDS = 20.0


def binary() -> str | None:
    """Returns the path of the program, which Debian installs outside the PATH of ordinary accounts."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """A pooler with few server connections. `url(...)` is the address of a database behind it."""

    def __init__(self, program: str, database_url: str, pool_size: int) -> None:
        self._program = program
        self._directory = Path(tempfile.mkdtemp(prefix="otp-pgb-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        parts = urlsplit(database_url)
        self._database = parts.path.removeprefix("/")
        host = parts.hostname or parse_qs(parts.query)["host"][0]
        self._write_settings(f"host={host} port={parts.port or 5432} user={parts.username or ROLE}", pool_size)

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{self._database}"

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, str(self._directory / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
                cwd=self._directory,
                **account(),
            )
        self._wait()

    def kill(self) -> None:
        """Cuts every connection at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def servers(self) -> int:
        """Returns the number of its connections to PostgreSQL."""
        with psycopg.connect(self.url.rpartition("/")[0] + "/pgbouncer", autocommit=True) as connection:
            cursor = psycopg.ClientCursor(connection)
            return len(cursor.execute("SHOW SERVERS").fetchall())

    def _write_settings(self, server: str, pool_size: int) -> None:
        # Trust is for loopback, as that of the cluster behind it.
        (self._directory / "users").write_text(f'"{ROLE}" ""\n')
        (self._directory / "pgbouncer.ini").write_text(f"""[databases]
{self._database} = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {self._directory / "users"}
admin_users = {ROLE}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
server_tls_sslmode = disable
""")
        if who := account():
            for path in (self._directory, *self._directory.iterdir()):
                os.chown(path, who["user"], who["group"])

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > until or self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"PgBouncer did not start:\n{(self._directory / 'log').read_text()}") from error
                time.sleep(0.02)
            else:
                return


@contextmanager
def pgbouncer(program: str, database_url: str, pool_size: int) -> Iterator[PgBouncer]:
    """Yields a pooler in front of a database."""
    pooler = PgBouncer(program, database_url, pool_size)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
