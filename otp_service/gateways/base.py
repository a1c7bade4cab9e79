"""What a gateway must do, and how a send can end (docs/gateway.md)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """ACCEPTED: the gateway took it. REFUSED: surely nothing was sent. UNKNOWN: nobody knows; never repeated."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one handset. `to`: E.164. `carrier`: operator name, where one is known.

    For the route `pin`, `text` carries the gateway's `pin_placeholder` where the PIN goes.
    """

    to: str = field(repr=False)
    text: str = field(repr=False)
    carrier: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """How a send went.

    `reason`: one stable word for events, logs and metrics; `pin`: only what the route `pin` returned.
    """

    outcome: Outcome
    reason: str
    pin: str | None = field(default=None, repr=False)
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a harmless signed call. `detail`: for a person, without URL or key."""

    ok: bool
    detail: str


class Gateway(Protocol):
    """One vendor. Every call ends within `timeout` seconds in total and never raises for what the vendor does."""

    @property
    def pin_placeholder(self) -> str:
        """What stands in the text where the vendor puts its PIN; empty: the vendor appends it."""

    async def send_pin(self, message: Message, pin_length: int, timeout: float) -> Sent:
        """The vendor makes and sends a PIN of `pin_length` digits and returns it. Needs `message.carrier`."""

    async def send_sms(self, message: Message, timeout: float) -> Sent:
        """Sends a text. Needs `message.carrier`."""

    async def send_mt(self, message: Message, timeout: float) -> Sent:
        """Sends a text; the vendor chooses the carrier."""

    async def probe(self, timeout: float) -> Probe:
        """A signed call that sends nothing."""

    async def aclose(self) -> None:
        """Closes the connections."""
