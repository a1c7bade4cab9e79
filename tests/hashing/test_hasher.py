"""The hash queue is bounded, checks come before starts, and the parameters are those of the settings."""

import asyncio
import itertools
import os
import sys
import threading

import pytest

from otp_service.hashing import hasher as hashing
from otp_service.hashing.argon2 import argon2id
from otp_service.hashing.queue import Kind, Ticket
from tests.support.overload import full
from tests.support.patience import PATIENCE
from tests.support.service import AT_ONCE, NO_LIMITS, new_number, serving
from tests.support.vendor import Vendor

TICKET = Ticket(Kind.CHECK, "a")


async def test_over_the_bound_work_is_refused_with_when_to_come_back(vendor: Vendor, migrated: str) -> None:
    async with serving(migrated, vendor, {"limits": NO_LIMITS, "purposes": {"signup": AT_ONCE}}) as service:
        started = await service.api.start()
        queue = service.ctx.hasher.queue
        with full(queue, *Kind):
            for refused in (
                await service.api.try_check(started["id"], "123456"),
                await service.api.try_start(new_number()),
                await service.api.resend(started["id"]),
            ):
                assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
                assert int(refused.headers["retry-after"]) >= 1
        assert (await service.api.read(started["id"]))["attempts_left"] == 5, "nothing was spent"


async def test_checks_still_have_places_when_starts_have_none(vendor: Vendor, migrated: str) -> None:
    async with serving(migrated, vendor, {"limits": NO_LIMITS}) as service:
        started = await service.api.start()
        queue = service.ctx.hasher.queue
        with full(queue, Kind.START):
            assert (await service.api.try_start(new_number())).json()["code"] == "overloaded"
            assert await service.api.check(started["id"], service.pin(started["to"])) == "approved"


async def test_a_hash_has_the_cost_of_the_settings(vendor: Vendor, migrated: str) -> None:
    async with serving(migrated, vendor, argon2="m=9216,t=4,p=1", allow_weak_argon2=False) as service:
        made = await service.ctx.hasher.hash("ver_1", "123456", TICKET)
        assert made.phc.startswith("$argon2id$v=19$m=9216,t=4,p=1$")
        assert "argon2" not in repr(made)


async def test_hashes_run_in_as_many_threads_as_there_are_cores(
    vendor: Vendor, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        hasher = service.ctx.hasher
        together = threading.Barrier(hasher.threads, timeout=PATIENCE)
        counts = itertools.count()

        def met(_: list[tuple[bytes, str]]) -> bool:
            next(counts)
            together.wait()
            return False

        monkeypatch.setattr(hashing, "_any_matches", met)
        await asyncio.gather(*(hasher.compare_nothing(TICKET) for _ in range(hasher.threads * 5)))
        assert next(counts) == hasher.threads * 5


async def test_all_live_pins_are_compared_in_one_run(
    vendor: Vendor, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated, vendor) as service:
        hasher = service.ctx.hasher
        live = [await hasher.hash("ver_1", pin, TICKET) for pin in ("111111", "222222", "333333")]
        assert len({made.phc for made in live}) == 3
        runs: list[bytes] = []

        def counted(secret: bytes, salt: bytes, iterations: int, memory_kib: int) -> str:
            runs.append(secret)
            return argon2id(secret, salt, iterations, memory_kib)

        monkeypatch.setattr(hashing, "argon2id", counted)
        assert await hasher.matches("ver_1", "333333", live, TICKET)
        assert not await hasher.matches("ver_1", "444444", live, TICKET)
        assert len(runs) == 2


async def test_threads_end_when_the_hasher_is_closed(vendor: Vendor, migrated: str) -> None:
    async with serving(migrated, vendor) as service:
        hasher = service.ctx.hasher
        await hasher.compare_nothing(TICKET)
    assert not any(worker.is_alive() for worker in hasher._workers)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
async def test_the_event_loop_goes_before_hash_threads(vendor: Vendor, migrated: str) -> None:
    async with serving(migrated, vendor) as service:
        priorities = await asyncio.gather(
            *(service.ctx.hasher.queue.run(TICKET, _own_priority) for _ in range(2 * service.ctx.hasher.threads))
        )
    own = _own_priority()
    assert set(priorities) == {min(own + hashing.NICENESS, 19)}


async def test_pins_are_hashed_if_the_priority_cannot_be_changed(
    vendor: Vendor, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "nice", refuse)
    async with serving(migrated, vendor) as service:
        started = await service.api.start(to := new_number())
        assert await service.api.check(started["id"], service.pin(to)) == "approved"


def _own_priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
