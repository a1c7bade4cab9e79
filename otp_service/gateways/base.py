"""What a gateway must do, and what it tells (docs/gateway.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol


class Outcome(StrEnum):
    """ACCEPTED: the gateway took it. REFUSED: surely nothing was sent. UNKNOWN: nobody knows; never repeated."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


Delivery = Literal["sent", "delivered", "undelivered", "unknown", "failed"]
"""What became of a message, in our words."""


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

    `reason`: one stable word for events, logs and metrics; `pin`: only what the route `pin` returned; `message_id`: the
    vendor's, opaque and possibly revealing: kept sealed alone. `passing`: of a refusal, whether its cause can pass by
    itself, so that the same message may be taken later.
    """

    outcome: Outcome
    reason: str
    pin: str | None = field(default=None, repr=False)
    message_id: str | None = field(default=None, repr=False)
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Inbound:
    """What a person texted us. `sent`: the vendor's own date, opaque.

    `sender`: E.164 as far as its digits tell, "" where there are none (a text from a name): nobody that we can answer.
    """

    sender: str = field(repr=False)
    to: str
    text: str = field(repr=False)
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the vendor says became of one message. `to`: E.164; `text`: of the message; None where it does not say."""

    message_id: str = field(repr=False)
    status: Delivery
    to: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NoReply:
    """A call that only reads brought nothing. `reason`: one stable word, as in `Sent`."""

    reason: str


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

    async def tell(self, to: str, keyword: str, timeout: float) -> Sent:
        """Tells the campaign platform that the person at `to` (E.164) said `keyword`, as if it had been texted."""

    async def inbound(self, page: int, size: int, timeout: float) -> Sequence[Inbound] | NoReply:
        """A page (from 1) of what people texted us, newest first; empty after the last one."""

    async def receipt(self, message_id: str, timeout: float) -> Receipt | NoReply:
        """What became of one message."""

    async def report(self, to: str, since: float, until: float, timeout: float) -> Sequence[Receipt] | NoReply:
        """What became of the messages to `to` (E.164) between two times (seconds since the epoch)."""

    async def is_blacklisted(self, to: str, timeout: float) -> bool | NoReply:
        """Whether the vendor itself blocks `to` (E.164), for any of our codes."""

    async def probe(self, timeout: float) -> Probe:
        """A signed call that sends nothing."""

    async def aclose(self) -> None:
        """Closes the connections."""
