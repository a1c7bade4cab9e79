"""Secret keys rotate under load, step by step, one replica after the other: no honest person is turned away."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from otp_service.clock import Clock, elapsed
from otp_service.database.engine import Database
from otp_service.errors import Unavailable
from otp_service.services.operations import rotation
from otp_service.vault import Vault, generate_key_entry
from tests.faults.honest import honest_load
from tests.faults.people import Recorder
from tests.faults.replica import Replica, fleet
from tests.faults.world import CONFIG, afterwards, faults_settings, judge
from tests.support.api_keys import new_key
from tests.support.patience import PATIENCE
from tests.support.service import make_settings
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

HASHES_END = """
[retention]
hash = 0
"""
"""An old key is needed until the PINs that are hashed under it have been entered."""
ROTATIONS = 2


async def restarted(servers: list[Replica], keys: str) -> None:
    """One after the other, with other keys."""
    for server in servers:
        assert await asyncio.to_thread(server.stop) == 0
        server.settings = {**server.settings, "OTP_SECRET_KEYS": keys}
        await server.comes_up()


async def moved_to(vault: Vault, database_url: str) -> None:
    """`secrets rewrap`, then `secrets status` until the older keys are needed but for what is gone in a day."""
    database, until = Database(database_url, patient=True), elapsed() + PATIENCE
    try:
        while not await rewrapped(database, vault):
            assert elapsed() < until
        while needed := [use for use in await rotation.status(database, vault) if is_needed(use, vault)]:
            assert elapsed() < until, needed
            await asyncio.sleep(0.1)
    finally:
        database.close()


async def rewrapped(database: Database, vault: Vault) -> bool:
    """`secrets rewrap`; False where a busy database did not answer in time, and the operator repeats it."""
    try:
        await rotation.rewrap(database, vault, Clock(), lambda _: None)
    except Unavailable:
        return False
    return True


def is_needed(use: rotation.KeyUse, vault: Vault) -> bool:
    """Without answers that nobody here asks for again, and the vendor's ids of messages, which are for receipts."""
    return use.key_id != vault.writing_key_id and replace(use, answers=0, messages=0).needed


async def test_keys_rotate_under_load(database_url: str, vendor: Vendor, tmp_path: Path, chance: random.Random) -> None:
    config = CONFIG + HASHES_END
    old = generate_key_entry()
    settings = faults_settings(database_url, vendor, tmp_path, config, OTP_SECRET_KEYS=old)
    recorder = Recorder(await new_key(database_url, "app"))
    async with fleet(settings, settings) as servers:
        for server in servers:
            await server.comes_up()
        async with honest_load(recorder, vendor, [server.url for server in servers], chance) as load:
            for _ in range(ROTATIONS):
                new = generate_key_entry()
                for keys in (f"{old},{new}", f"{new},{old}"):
                    await load.more()
                    await restarted(servers, keys)
                await load.more()
                await moved_to(vault_of(database_url, f"{new},{old}"), database_url)
                await restarted(servers, new)
                old = new
            await load.more()
    async with afterwards(database_url, vendor, config, secret_keys=old) as service:
        judge(recorder, vendor, database_url, service.ctx.vault)


def vault_of(database_url: str, keys: str) -> Vault:
    """What the entries of OTP_SECRET_KEYS open."""
    return Vault(make_settings(database_url, "http://127.0.0.1:1/mmc", {}, secret_keys=keys).keys)
