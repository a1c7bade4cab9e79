"""What the simulator remembers, in memory: messages it "delivered" and messages from handsets."""

import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from otp_service.clock import rfc3339

_KEPT = 10_000
_STANDALONE_DIGITS = re.compile(r"(?<!\w)[0-9]{6,10}(?!\w)")


@dataclass(frozen=True)
class Message:
    """A message to a handset. `to`: digits; `pin`: what a person would read as the PIN."""

    id: str
    at: float
    method: str
    to: str
    sender: str | None
    carrier: str | None
    text: str
    pin: str | None

    def as_json(self) -> dict[str, str | None]:
        """As `GET /messages` lists it."""
        return {
            "at": rfc3339(self.at),
            "method": self.method,
            "to": "+" + self.to,
            "from": self.sender,
            "text": self.text,
            "pin": self.pin,
        }


@dataclass(frozen=True)
class MobileOriginated:
    """A message from a handset (MO). `sender` is the handset, `to` the short code."""

    at: float
    sender: str
    to: str
    text: str
    carrier: str

    @property
    def keyword(self) -> str:
        """The first word."""
        return (self.text.split() or [""])[0]


class Store:
    """The newest of both kinds; older ones fall out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._messages: deque[Message] = deque(maxlen=_KEPT)
        self._from_handsets: deque[MobileOriginated] = deque(maxlen=_KEPT)

    def deliver(
        self, method: str, to: str, text: str, *, sender: str | None, carrier: str | None = None, pin: str | None = None
    ) -> Message:
        """Keeps a message as delivered."""
        message = Message(new_id(), self._clock(), method, to, sender, carrier, text, pin or pin_in(text))
        self._messages.append(message)
        return message

    def messages(self, to: str | None = None) -> list[Message]:
        """Newest first; `to`: only those to this number."""
        return [message for message in reversed(self._messages) if to in (None, message.to)]

    def message(self, message_id: str) -> Message | None:
        """The message with this id."""
        return next((message for message in self._messages if message.id == message_id), None)

    def receive(self, sender: str, to: str, text: str, carrier: str) -> MobileOriginated:
        """Takes a message from a handset."""
        received = MobileOriginated(self._clock(), sender, to, text, carrier)
        self._from_handsets.append(received)
        return received

    def from_handsets(self) -> Iterable[MobileOriginated]:
        """Oldest first."""
        return self._from_handsets

    def now(self) -> float:
        """The simulator's time."""
        return self._clock()


def new_id() -> str:
    """Like the vendor's: a negative 64-bit number as text."""
    return str(-secrets.randbelow(2**63) - 1)


def pin_in(text: str) -> str | None:
    """The only run of 6 to 10 digits that stands alone, where there is exactly one (however often it stands there)."""
    found = set(_STANDALONE_DIGITS.findall(text))
    return found.pop() if len(found) == 1 else None
