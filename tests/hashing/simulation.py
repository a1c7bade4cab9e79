"""Load on the hash queue in simulated time: so that no machine is too busy for it."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field

from otp_service.errors import Refusal
from otp_service.hashing.queue import HashQueue, Kind, Ticket

THREADS = 2
HASH_SECONDS = 0.02
"""A hundred hashes a second."""


class SimulatedTime(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None = None) -> object:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        """Seconds since it was made."""
        return self.now


@dataclass(frozen=True)
class Stream:
    """Calls of one client from `begins` on: `rate` a second, at random times; or of `callers` that repeat at once.

    `gateway` and `commit`: seconds that a start spends at the gateway, and a call in the database before its hash.
    """

    kind: Kind
    client: str = "a"
    rate: float = 0.0
    callers: int = 0
    begins: float = 0.0
    ends: float = 15.0
    gateway: float = 0.3
    commit: float = 0.0


@dataclass
class Result:
    """Of one stream: how long its accepted calls took, and how many were refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0


class Simulation:
    """A queue whose threads hash in simulated time."""

    def __init__(self) -> None:
        self.queue = HashQueue(THREADS, HASH_SECONDS, asyncio.get_running_loop().time)
        self.results: dict[Stream, Result] = defaultdict(Result)
        self._jobs = asyncio.Semaphore(0)
        self._chance = random.Random(1)

    async def run(self, *streams: Stream) -> list[Result]:
        """What became of each stream."""
        threads = [asyncio.create_task(self._thread()) for _ in range(THREADS)]
        async with asyncio.TaskGroup() as calls:
            for stream in streams:
                if stream.rate:
                    calls.create_task(self._arrive(stream, calls))
                for _ in range(stream.callers):
                    calls.create_task(self._repeat(stream))
        for thread in threads:
            thread.cancel()
        return [self.results[stream] for stream in streams]

    async def _thread(self) -> None:
        while await self._jobs.acquire():
            job = self.queue.pop()
            await asyncio.sleep(HASH_SECONDS)
            if job is not None:
                job[1].set_result(job[0]())

    async def _arrive(self, stream: Stream, calls: asyncio.TaskGroup) -> None:
        await asyncio.sleep(stream.begins)
        while asyncio.get_running_loop().time() < stream.ends:
            await asyncio.sleep(self._chance.expovariate(stream.rate))
            calls.create_task(self._call(stream))

    async def _repeat(self, stream: Stream) -> None:
        await asyncio.sleep(stream.begins)
        while asyncio.get_running_loop().time() < stream.ends:
            if not await self._call(stream):
                await asyncio.sleep(0.1)

    async def _call(self, stream: Stream) -> bool:
        ticket, begun = Ticket(stream.kind, stream.client), asyncio.get_running_loop().time()
        try:
            with self.queue.admit(ticket):
                await asyncio.sleep(stream.commit)
                if stream.kind is Kind.START:
                    with self.queue.at_gateway(ticket):
                        await asyncio.sleep(stream.gateway)
                self._jobs.release()
                await self.queue.run(ticket, lambda: None)
        except Refusal:
            self.results[stream].refused += 1
            return False
        self.results[stream].seconds.append(asyncio.get_running_loop().time() - begun)
        return True


def simulate(*streams: Stream) -> list[Result]:
    """What became of each stream."""
    loop = SimulatedTime()
    try:
        return loop.run_until_complete(_simulate(streams))
    finally:
        loop.close()


async def _simulate(streams: tuple[Stream, ...]) -> list[Result]:
    return await Simulation().run(*streams)
