"""SIGTERM under load, rolling restarts, the release before this schema beside this one: what is in flight ends, and
nothing honest fails but what can be repeated."""

import asyncio
import random
import subprocess
from pathlib import Path

import pytest

from tests.faults.honest import honest_load
from tests.faults.people import Recorder
from tests.faults.replica import fleet
from tests.faults.world import WITHOUT_CEILINGS, afterwards, faults_settings, history_of, judge
from tests.support.api_keys import new_key
from tests.support.processes import ROOT, launched
from tests.support.servers import free_port
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

ROUNDS = 20
TOGETHER_SECONDS = 30.0


async def test_a_rolling_restart_turns_nobody_away(
    database_url: str, settings: dict[str, str], vendor: Vendor, chance: random.Random
) -> None:
    recorder = Recorder(await new_key(database_url, "app"))
    vendor.fail("pin", "slow", times=None, seconds=0.2)
    async with fleet(settings, settings) as servers:
        for server in servers:
            await server.comes_up()
        async with honest_load(recorder, vendor, [server.url for server in servers], chance) as load:
            for server in servers * (ROUNDS):
                await load.more()
                assert await asyncio.to_thread(server.stop) == 0
                await server.comes_up()
            await load.more()
    async with afterwards(database_url, vendor) as service:
        history = history_of(recorder, vendor, database_url, service.ctx.vault)
        assert "abandoned" not in {send.reason for send in history.rows.sends}, "what was in flight has ended"
        judge(recorder, vendor, database_url, service.ctx.vault)


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was before the newest migration."""
    newest = max((ROOT / "migrations" / "versions").glob("0*.py"))
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest.relative_to(ROOT))).decode().strip()
    if not added:
        pytest.skip("the history that the previous release is taken from is not here")
    folder = tmp_path_factory.mktemp("previous")
    subprocess.run(["tar", "-x", "-C", folder], input=_git("archive", f"{added}^"), check=True)
    return folder


def _git(*arguments: str) -> bytes:
    """Its output; skips where there is no git, or not that much of the history."""
    try:
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the history that the previous release is taken from is not here")


async def test_the_release_before_this_schema_works_beside_this_one(
    database_url: str,
    vendor: Vendor,
    chance: random.Random,
    previous: Path,
    tmp_path: Path,
) -> None:
    # The sends of the previous release do not show what they hold under a ceiling.
    settings = faults_settings(database_url, vendor, tmp_path, WITHOUT_CEILINGS)
    recorder = Recorder(await new_key(database_url, "app"))
    port = free_port()
    of_previous = {**settings, "PYTHONPATH": str(previous)}
    with launched("serve", "--port", str(port), settings=of_previous) as old:
        old.url = f"http://127.0.0.1:{port}"
        async with fleet(settings) as (server,):
            await asyncio.gather(server.comes_up(), asyncio.to_thread(old.wait_for, old.is_ready))
            async with honest_load(recorder, vendor, [server.url, old.url], chance) as load:
                await asyncio.sleep(TOGETHER_SECONDS)
                await load.more()
    async with afterwards(database_url, vendor, WITHOUT_CEILINGS) as service:
        judge(recorder, vendor, database_url, service.ctx.vault)
