"""Applications and users that act at random: they start, resend, guess, type old PINs, cancel and repeat."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import httpx

from tests.faults.history import Call
from tests.faults.people import Recorder
from tests.support.service import new_number, wrong
from tests.support.vendor import Vendor

NUMBERS_OF_EACH = 4
LONGEST_PAUSE_SECONDS = 0.1


@dataclass
class Careless:
    """One application with a few numbers. Errors do not count as failures; the history is judged later."""

    recorder: Recorder
    vendor: Vendor
    replicas: list[httpx.AsyncClient]
    chance: random.Random
    numbers: list[str] = field(default_factory=lambda: [new_number() for _ in range(NUMBERS_OF_EACH)])

    async def go_on(self, stopping: asyncio.Event) -> None:
        """Makes calls until it is stopped."""
        while not stopping.is_set():
            await self._one()
            await asyncio.sleep(self.chance.uniform(0, LONGEST_PAUSE_SECONDS))

    async def _one(self) -> None:
        to = self.chance.choice(self.numbers)
        if self.chance.random() < 0.1:
            await self._call(lambda http, key: self.recorder.notify(http, to, key))
        started = await self._call(lambda http, key: self._start(http, to, key))
        if started.status not in (200, 201):
            return
        for _ in range(self.chance.randrange(1, 6)):
            await self._one_more(replace(started, to=to))

    async def _start(self, http: httpx.AsyncClient, to: str, key: str | None) -> Call:
        # What a repetition under a key may not change.
        purpose = "by_sms" if to == self.numbers[0] else "signup"
        return await self.recorder.start(http, to, key, purpose=purpose)

    async def _one_more(self, started: Call) -> None:
        dice = self.chance.random()
        if dice < 0.15:
            await self._call(lambda http, key: self.recorder.resend(http, started, key))
        elif dice < 0.22:
            await self._call(lambda http, key: self.recorder.cancel(http, started, key))
        else:
            pin = await self._a_pin(started.to or "", right=dice < 0.5)
            at_once = 3 if self.chance.random() < 0.2 else 1
            await asyncio.gather(
                *(self._call(lambda http, key: self.recorder.check(http, started, pin, key)) for _ in range(at_once))
            )

    async def _a_pin(self, to: str, *, right: bool) -> str:
        """Returns a PIN that was delivered, mostly the newest one, or a guess."""
        came = [message["pin"] for message in await asyncio.to_thread(self.vendor.messages, to) if message["pin"]]
        if not came:
            return "123456"
        pin = str(came[0] if self.chance.random() < 0.8 else self.chance.choice(came))
        return pin if right else wrong(pin)

    async def _call(self, request: Callable[[httpx.AsyncClient, str | None], Awaitable[Call]]) -> Call:
        """Calls one of the replicas, mostly with a key, and repeats the call if there was no response."""
        key = self.recorder.new_key() if self.chance.random() < 0.7 else None
        done = await request(self.chance.choice(self.replicas), key)
        if key is not None and (done.status in (None, 503) or self.chance.random() < 0.05):
            await asyncio.sleep(self.chance.uniform(0, LONGEST_PAUSE_SECONDS))
            done = await request(self.chance.choice(self.replicas), key)
        return done
