"""A tester's side of the simulated Campaign Manager: its messages and its faults."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from otp_service.simulator import create_simulator
from tests.support.servers import running

INSTANCE_ID = "43"
PUBLIC_KEY = "4BFB-4943-9546-9BB8964254F2"
PRIVATE_KEY = "FBF3-4310-909C-C4BBC26F886F"
SENDER = "19893653744"


@dataclass(frozen=True)
class Vendor:
    """The simulator on a real port. `url`: of its pages; the gateway's base URL is `base_url`."""

    url: str
    http: httpx.Client

    @property
    def base_url(self) -> str:
        """What goes into the gateway's settings."""
        return f"{self.url}/mmc"

    def messages(self, to: str | None = None) -> list[dict[str, Any]]:
        """What was delivered, newest first."""
        found: list[dict[str, Any]] = self.http.get("/messages", params={"to": to} if to else None).json()
        return found

    async def delivered(self, to: str, count: int = 1) -> None:
        """Waits until so many messages have come to a number."""
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=self.url) as http:
            while len((await http.get("/messages", params={"to": to})).json()) < count:
                pass

    async def fault_taken(self) -> None:
        """Waits until no fault is armed any more: the call that met the last one is under way."""
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=self.url) as http:
            while (await http.get("/faults")).json():
                pass

    def fail(self, method: str, fault: str, *, times: int | None = 1, seconds: float = 1.0) -> None:
        """Arms a fault."""
        asked = {"method": method, "fault": fault, "times": times, "seconds": seconds}
        self.http.post("/faults", json=asked).raise_for_status()

    def recover(self) -> None:
        """Disarms every fault."""
        self.http.delete("/faults").raise_for_status()


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    """A simulator of its own."""
    with (
        running(create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY)) as url,
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        yield Vendor(url, http)
