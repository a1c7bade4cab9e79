"""SIGHUP makes `serve` read its settings and policy again, without a gap, with one worker and with several."""

import asyncio
import os
import pty
import shutil
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.api_keys import new_key
from tests.support.processes import Running, launched, service_settings, serving
from tests.support.service import Api, new_number
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

POLICY = """
[purposes.{name}]
brand = "Example"
[purposes.{name}.text]
en = "{{pin}} is your PIN."
"""


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database."""
    shutil.copy(migrated_sqlite, tmp_path / "otp.db")
    return f"sqlite:///{tmp_path / 'otp.db'}"


def events(server: Running, event: str) -> int:
    """How often a line of the log was written."""
    return sum(line["event"] == event for line in server.log())


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_takes_the_new_policy_and_no_request_fails(
    sqlite_url: str, vendor: Vendor, tmp_path: Path, workers: int
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.format(name="first"))
    key = await new_key(sqlite_url, "app")
    settings = service_settings(sqlite_url, vendor, OTP_CONFIG_FILE=str(policy))
    with serving(settings, "--workers", str(workers)) as server:
        server.wait_for(lambda: events(server, "Application startup complete.") == workers)
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            api, slow_to = Api(client, key), new_number()
            vendor.fail("pin", "slow", seconds=2)
            under_way = asyncio.create_task(api.try_start(slow_to, purpose="first"))
            await vendor.delivered(slow_to)
            policy.write_text(POLICY.format(name="second"))
            server.process.send_signal(signal.SIGHUP)
            while events(server, "reloaded") < workers:
                assert (await client.get("/livez")).status_code == 200
            assert (await api.try_start(new_number(), purpose="second")).status_code == 201
            assert (await api.try_start(new_number(), purpose="first")).json()["code"] == "invalid"
            assert (await under_way).status_code == 201, "it began under the old policy"

            policy.write_text("[purposes.third]\nlifetime = 99999\n")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(lambda: events(server, "reload_failed") == workers)
            assert any("lifetime" in str(line.get("problems")) for line in server.log())
            assert (await api.try_start(new_number(), purpose="second")).status_code == 201
    assert server.process.wait(30) == 0


def test_a_closed_terminal_stops_the_service(sqlite_url: str, vendor: Vendor) -> None:
    ours, theirs = pty.openpty()
    try:
        with launched("serve", "--port", "0", settings=service_settings(sqlite_url, vendor), stdin=theirs) as server:
            server.wait_for(lambda: events(server, "Application startup complete.") == 1)
            assert server.stop(signal.SIGHUP) == 0
    finally:
        os.close(ours)
        os.close(theirs)
