"""On SQLite the time is the machine's: where that was set back while the service was down, no PIN lives longer."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.clocks import HOUR, begins
from tests.faults.people import Recorder, client
from tests.faults.replica import fleet
from tests.faults.test_clocks import CONFIG, LIFETIME
from tests.faults.world import faults_settings
from tests.support.api_keys import new_key
from tests.support.service import new_number
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long


async def test_no_pin_outlives_its_lifetime_after_a_restart_with_the_clock_set_back(
    migrated: str, vendor: Vendor, tmp_path: Path
) -> None:
    recorder = Recorder(await new_key(migrated, "app"))
    async with fleet(faults_settings(migrated, vendor, tmp_path, CONFIG)) as (server,):
        async with client(server.url) as http:
            await server.comes_up()
            started = await recorder.start(http, to := new_number())
        await asyncio.to_thread(server.stop)
        server.twist = begins(-HOUR)
        await server.comes_up()
        await asyncio.sleep(LIFETIME)
        async with client(server.url) as http:
            checked = await recorder.check(http, started, vendor.messages(to)[0]["pin"])
    assert checked.result == "expired"
