"""The tester's side of the simulated Campaign Manager: its messages and its faults."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette

from otp_service.simulator import create_simulator
from tests.support.patience import PATIENCE, until
from tests.support.servers import running

INSTANCE_ID = "43"
PUBLIC_KEY = "4BFB-4943-9546-9BB8964254F2"
PRIVATE_KEY = "FBF3-4310-909C-C4BBC26F886F"
SENDER = "19893653744"


@dataclass(frozen=True)
class Vendor:
    """The simulator on a real port. `url` is the address of its pages, `base_url` the gateway's base URL."""

    url: str
    http: httpx.Client

    @property
    def base_url(self) -> str:
        """The base URL for the gateway's settings."""
        return f"{self.url}/mmc"

    def messages(self, to: str | None = None) -> list[dict[str, Any]]:
        """Returns the delivered messages, newest first."""
        found: list[dict[str, Any]] = self.http.get("/messages", params={"to": to} if to else None).json()
        return found

    async def delivered(self, to: str, count: int = 1) -> None:
        """Waits until this many messages were delivered to a number."""
        await self._until("/messages", lambda messages: len(messages) >= count, to=to)

    async def fault_taken(self) -> None:
        """Waits until no fault is armed: the call that met the last one is in progress."""
        await self._until("/faults", lambda armed: not armed)

    def fail(self, method: str, fault: str, *, times: int | None = 1, seconds: float = 1.0) -> None:
        """Arms a fault."""
        self._post("/faults", {"method": method, "fault": fault, "times": times, "seconds": seconds})

    def mo(self, sender: str, text: str, *, to: str = SENDER, callback: bool = True, listed: bool = True) -> None:
        """Adds an inbound message. `callback`: it is called back; `listed`: getMOMessages lists it."""
        self.mos([(sender, text)], to=to, callback=callback, listed=listed)

    def mos(
        self, texts: Iterable[tuple[str, str]], *, to: str = SENDER, callback: bool = True, listed: bool = True
    ) -> None:
        """Adds many inbound messages: pairs of number and text, oldest first."""
        more = {"to": to, "callback": callback, "listed": listed}
        self._post("/mo", [{"from": sender, "text": text, **more} for sender, text in texts])

    def set_status(self, to: str, status: str, times: int = 1) -> None:
        """Sets the vendor's status of the newest message to a number, and calls it back this many times."""
        self._post("/statuses", {"to": to, "status": status, "times": times})

    def blacklist(self, number: str, blocked: bool = True) -> None:
        """Sets whether the vendor itself blocks a number."""
        self._post("/blacklist", {"number": number, "blocked": blocked})

    def fired(self) -> list[dict[str, Any]]:
        """Returns the keywords reported by fireMessage, newest first: at, to, text."""
        found: list[dict[str, Any]] = self.http.get("/fired").json()
        return found

    def call_back(self, url: str | None) -> None:
        """Sets the address of callbacks, on a real port here; None disables them."""
        self._post("/callback", {"url": url})

    async def called_back(self, count: int) -> dict[str, int]:
        """Waits until this many callbacks were made since `call_back`; returns the count of each state."""
        await self._until("/callback", lambda counts: counts["sent"] + counts["failed"] >= count)
        counts: dict[str, int] = self.http.get("/callback").json()
        return counts

    def notices(self) -> list[dict[str, str]]:
        """Returns the fields of the callbacks, also of those without an address, newest first."""
        found: list[dict[str, str]] = self.http.get("/notices").json()
        return found

    def recover(self) -> None:
        """Disarms every fault, disables callbacks and unblocks all numbers; messages of both kinds stay."""
        self.http.delete("/faults").raise_for_status()
        self.call_back(None)
        self.http.delete("/blacklist").raise_for_status()

    def reset(self) -> None:
        """Does the same, and removes the inbound messages."""
        self._post("/reset", None)

    async def _until(self, path: str, holds: Callable[[Any], bool], **params: str) -> None:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=PATIENCE) as http:

            async def condition() -> bool:
                return holds((await http.get(path, params=params)).json())

            await until(condition)

    def _post(self, path: str, body: Any) -> None:
        self.http.post(path, json=body).raise_for_status()


@contextmanager
def running_vendor(simulator: Starlette | None = None) -> Iterator[Vendor]:
    """Yields a simulator of its own, which by default reports no delivery by itself."""
    app = simulator or create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY)
    # A connection that was kept can be closed by the simulator in the moment it is used again.
    unkept = httpx.Limits(max_keepalive_connections=0)
    options: dict[str, Any] = {"trust_env": False, "limits": unkept, "timeout": PATIENCE}
    with running(app) as url, httpx.Client(base_url=url, **options) as http:
        yield Vendor(url, http)
