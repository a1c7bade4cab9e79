"""The interface of a gateway, and its results (docs/gateway.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol


class Outcome(StrEnum):
    """ACCEPTED: the gateway took the message. REFUSED: surely nothing was sent. UNKNOWN: maybe sent; never retried."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


DeliveryStatus = Literal["sent", "delivered", "undelivered", "unknown", "failed"]
"""The state of a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one handset. `to`: E.164. `carrier`: operator name, None if unknown.

    For the route `pin`, `text` contains the gateway's `pin_placeholder` in place of the PIN.
    """

    to: str = field(repr=False)
    text: str = field(repr=False)
    carrier: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of a send.

    `reason`: one stable word for events, logs and metrics; `pin`: what the route `pin` returned; `message_id`: the
    vendor's, opaque and perhaps revealing, so it is stored sealed; `passing`: whether the cause of a refusal can pass
    by itself, so that the same message may be accepted later.
    """

    outcome: Outcome
    reason: str
    pin: str | None = field(default=None, repr=False)
    message_id: str | None = field(default=None, repr=False)
    passing: bool = False


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """What a person texted us.

    `sender`: the phone as the vendor writes it, or a name; `sent`: the vendor's date as it writes it; `sent_at`: the
    same in seconds, comparable only with other texts' (the vendor's zone is unknown), None if it cannot be read.
    """

    sender: str = field(repr=False)
    to: str
    text: str = field(repr=False)
    sent: str = ""
    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the gateway says became of one message.

    `to`: its number as the gateway writes it; `text`: of the message; None if the gateway does not say.
    """

    message_id: str = field(repr=False)
    status: DeliveryStatus
    to: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NoReply:
    """The failure of a call that only reads. `reason`: one stable word, as in `Sent`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a harmless signed call. `detail`: for a person, without URL or key."""

    ok: bool
    detail: str


class Gateway(Protocol):
    """One vendor. Every call ends within `timeout` seconds in total, and raises nothing for what the vendor does."""

    @property
    def pin_placeholder(self) -> str:
        """Return the mark in the text that the vendor replaces by its PIN; if empty, it appends the PIN."""

    async def send_pin(self, message: Message, pin_length: int, timeout: float) -> Sent:
        """Let the vendor make, send and return a PIN of `pin_length` digits. Needs `message.carrier`."""

    async def send_sms(self, message: Message, timeout: float) -> Sent:
        """Send a text. Needs `message.carrier`."""

    async def send_mt(self, message: Message, timeout: float) -> Sent:
        """Send a text; the vendor chooses the carrier."""

    async def send_keyword(self, to: str, keyword: str, timeout: float) -> Sent:
        """Tell the campaign platform that the person at `to` (E.164) said `keyword`, as if it had been texted."""

    async def inbound(self, page: int, size: int, timeout: float) -> Sequence[InboundMessage] | NoReply:
        """Return a page (from 1) of what people texted us, newest first; empty after the last one."""

    async def receipt(self, message_id: str, timeout: float) -> Receipt | NoReply:
        """Return what became of one message."""

    async def report(self, to: str, since: float, until: float, timeout: float) -> Sequence[Receipt] | NoReply:
        """Return what became of the messages to `to` (E.164) between two times (seconds since the epoch)."""

    async def is_blacklisted(self, to: str, timeout: float) -> bool | NoReply:
        """Return whether the vendor itself blocks `to` (E.164), for any of our codes."""

    async def probe(self, timeout: float) -> Probe:
        """Make a signed call that sends nothing."""

    async def aclose(self) -> None:
        """Close the connections."""
