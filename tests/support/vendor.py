"""A tester's side of the simulated Campaign Manager: its messages and its faults."""

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

    @property
    def base_url(self) -> str:
        """What goes into the gateway's settings."""
        return f"{self.url}/mmc"

    def messages(self, to: str | None = None) -> list[dict[str, Any]]:
        """What was delivered, newest first."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/messages", params={"to": to} if to else None).json()
        return found

    def fail(self, method: str, fault: str, *, times: int | None = 1, seconds: float = 1.0) -> None:
        """Arms a fault."""
        asked = {"method": method, "fault": fault, "times": times, "seconds": seconds}
        httpx.post(f"{self.url}/faults", json=asked).raise_for_status()

    def recover(self) -> None:
        """Disarms every fault."""
        httpx.delete(f"{self.url}/faults").raise_for_status()


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    """A simulator of its own."""
    with running(create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY)) as url:
        yield Vendor(url)
