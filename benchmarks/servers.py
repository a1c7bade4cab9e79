"""The service under load, and servers to compare it with: real processes on real databases."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otp_service.database import migrate
from tests.support import postgres, processes
from tests.support.processes import Running
from tests.support.servers import free_port
from tests.support.service import SECRET_KEYS

DEFAULT_ARGON2 = "m=19456,t=2,p=1"
CHEAPEST_ARGON2 = "m=8,t=1,p=1"
POLICY = """
[purposes.signup]
routes = ["pin"]
[limits]
sends_per_number = ""
pause_per_number = 0
sends_per_user_ip = ""
[limits.failures_per_number]
free = 1000
lock_after = 10000
"""
NO_POLLING = "[receipts]\npoll_after = []\n"
"""For what is measured in turns: else each turn pays for the receipts of the messages before it."""
GUARD_OFF = '[guard]\nmode = "off"\n'
GUARD_ON = """
[guard]
mode = "enforce"
[guard.rules]
prefix = "off"
client = "off"
country = "off"
address = "off"
person = "off"
"""
"""Counts and decides everything, but blocks nothing: the rule that is left waits for seven days of traffic."""


@dataclass(frozen=True)
class Database:
    """A migrated, empty database. `pid` is the process of its server, None on SQLite."""

    name: str
    url: str
    pid: int | None


@contextmanager
def databases(folder: Path, names: list[str]) -> Iterator[list[Database]]:
    """Yields a database of each kind. PostgreSQL runs with fsync and synchronous_commit."""
    postgres.SETTINGS.update({"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"})
    server = postgres.start() if "postgresql" in names else None
    try:
        made = []
        for name in names:
            url = server.create_database() if name == "postgresql" and server else f"sqlite:///{folder / 'bench.db'}"
            migrate.upgrade(url)
            pid = getattr(server, "pid", None) if name == "postgresql" else None
            made.append(Database(name, url, pid))
        yield made
    finally:
        if server:
            server.stop()


def settings(database: Database, gateway: str, argon2: str, folder: Path, guard: str = GUARD_OFF) -> dict[str, str]:
    """Returns the settings of `serve`. Logs go to a file, as they would to a collector."""
    config = folder / "policy.toml"
    config.write_text(POLICY + guard)
    return {
        "OTP_DATABASE_URL": database.url,
        "OTP_SECRET_KEYS": SECRET_KEYS,
        "OTP_OGANGI_BASE_URL": gateway,
        "OTP_OGANGI_INSTANCE_ID": "43",
        "OTP_OGANGI_PUBLIC_KEY": "public",
        "OTP_OGANGI_PRIVATE_KEY": "private",
        "OTP_OGANGI_SENDER": "12345",
        "OTP_OGANGI_CARRIER": "Bench",
        "OTP_OGANGI_TIMEOUT": "9",
        "OTP_COUNTRIES": "*",
        "OTP_CONFIG_FILE": str(config),
        "OTP_ARGON2": argon2,
        "OTP_ALLOW_WEAK_ARGON2": "1",
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", ""),  # as `./run` sets it
    }


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[tuple[Running, int, float]]:
    """Yields the process of `otp-service serve`, its port, and the seconds until it was ready."""
    port = free_port()
    begun = time.perf_counter()
    with processes.launched("serve", "--port", str(port), *arguments, settings=environment) as server:
        server.url = f"http://127.0.0.1:{port}"
        server.wait_for(server.is_ready)
        yield server, port, time.perf_counter() - begun


PLAIN = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def check(request):
    await request.body()
    return JSONResponse({"result": "incorrect"})
app = Starlette(routes=[Route("/v1/verifications/{id}/checks", check, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, loop="uvloop", http="httptools", ws="none")
"""
IMPORTS = (
    "import alembic, argon2, click, cryptography, defusedxml, httptools, httpx, phonenumbers, prometheus_client;"
    "import psycopg, pydantic_settings, sqlalchemy.dialects.postgresql, starlette.applications, structlog, uvloop;"
    "import uvicorn"
)


@contextmanager
def plain() -> Iterator[tuple[int, int]]:
    """Yields the process and port of a Starlette endpoint that does nothing."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", PLAIN, str(port)]) as process:
        try:
            processes.wait_for(lambda: _listens(port))
            yield process.pid, port
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def import_seconds() -> float:
    """Returns the time of a bare import of the dependencies, the best of three."""
    return min(_timed(IMPORTS) for _ in range(3))


def _timed(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun
