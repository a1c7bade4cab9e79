"""What the simulator remembers, in memory: messages it "delivered" and messages from handsets."""

import asyncio
import re
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from otp_service.clock import rfc3339

_FROM_HANDSETS_KEPT = 20_000
_STANDALONE_DIGITS = re.compile(r"(?<!\w)[0-9]{6,10}(?!\w)")

_AT_FIRST = "SENT_TO_CARRIER"
_DELIVERED = "DELIVERED_TO_DEVICE"


@dataclass
class Message:
    """A message to a handset. `to`: digits; `pin`: what a person reads as the PIN; `status`: the vendor's word."""

    id: str
    at: float
    method: str
    to: str
    sender: str
    carrier: str
    text: str
    pin: str | None
    status: str = _AT_FIRST

    def as_json(self) -> dict[str, str | None]:
        """Return the message as `GET /messages` lists it."""
        return {
            "at": rfc3339(self.at),
            "method": self.method,
            "to": "+" + self.to,
            "from": self.sender,
            "text": self.text,
            "pin": self.pin,
        }

    def notice(self) -> dict[str, str]:
        """Return the callback of a change of status."""
        return {
            "FROM": self.sender,
            "TO": self.to,
            "MESSAGE_BODY": self.text,
            "TYPE": "SMS",
            "CLIENT_ID": "",
            "MESSANGI_ID": self.id,
            "STATUS": self.status,
        }


@dataclass(frozen=True)
class MobileOriginated:
    """A message from a handset (MO). `sender`: the handset; `to`: the short code, empty if it is not known."""

    at: float
    sender: str
    to: str
    text: str
    carrier: str

    @property
    def keyword(self) -> str:
        """Return the first word."""
        return (self.text.split() or [""])[0]

    def notice(self) -> dict[str, str]:
        """Return the callback of the message."""
        return {"FROM": self.sender, "TO": self.to, "TEXT": self.text, "ENCODING": "UTF-8", "TYPE": "MO_MESSAGE"}


class Store:
    """The newest messages to and from handsets; older ones are dropped.

    `notify`: posts a callback. `kept`: how many messages; `deliver_after`: seconds until one is delivered by itself.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        notify: Callable[[dict[str, str]], None],
        *,
        kept: int,
        deliver_after: float | None,
    ) -> None:
        self._clock = clock
        self._notify = notify
        self._kept = kept
        self._deliver_after = deliver_after
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._from_handsets: deque[MobileOriginated] = deque(maxlen=_FROM_HANDSETS_KEPT)
        self._fired: deque[MobileOriginated] = deque(maxlen=_FROM_HANDSETS_KEPT)
        self.blacklist: set[str] = set()

    def deliver(self, method: str, to: str, text: str, *, sender: str, carrier: str, pin: str | None = None) -> Message:
        """Keep a message as delivered."""
        message = Message(new_id(), self._clock(), method, to, sender, carrier, text, pin or pin_in(text))
        self._messages[message.id] = message
        if len(self._messages) > self._kept:
            self._messages.popitem(last=False)
        if self._deliver_after is not None:
            asyncio.get_running_loop().call_later(self._deliver_after, self._arrive, message)
        return message

    def _arrive(self, message: Message) -> None:
        if message.status == _AT_FIRST:
            self.set_status(message, _DELIVERED)

    def messages(self, to: str | None = None) -> list[Message]:
        """Return the messages, newest first. `to`: only those to this number."""
        return [message for message in reversed(self._messages.values()) if to in (None, message.to)]

    def between(self, first: float, last: float) -> Iterable[Message]:
        """Return the messages between two times, both included, oldest first."""
        return (message for message in self._messages.values() if first <= message.at <= last)

    def message(self, message_id: str) -> Message | None:
        """Return the message with this id."""
        return self._messages.get(message_id)

    def newest(self, to: str) -> Message | None:
        """Return the newest message to a number."""
        return next((message for message in reversed(self._messages.values()) if message.to == to), None)

    def set_status(self, message: Message, status: str, times: int = 1) -> None:
        """Give a message a status and post the callback `times` times."""
        message.status = status
        for _ in range(times):
            self._notify(message.notice())

    def receive(self, received: MobileOriginated, *, listed: bool = True, callback: bool = True) -> None:
        """Store a message from a handset. `listed`: getMOMessages returns it; `callback`: its callback is posted."""
        if listed:
            self._from_handsets.append(received)
        if callback:
            self._notify(received.notice())

    def fire(self, to: str, text: str, code: str) -> None:
        """Store a text that the customer sends in a handset's name; nothing goes to the handset."""
        fired = MobileOriginated(self._clock(), to, code, text, "")
        self._fired.append(fired)
        self.receive(fired)

    def from_handsets(self) -> Sequence[MobileOriginated]:
        """Return the messages from handsets, oldest first."""
        return self._from_handsets

    def fired(self) -> list[dict[str, str]]:
        """Return the messages as `GET /fired` lists them, newest first."""
        return [{"at": rfc3339(each.at), "to": "+" + each.sender, "text": each.text} for each in reversed(self._fired)]

    def forget_handsets(self) -> None:
        """Drop the messages from handsets and the blocked numbers."""
        self._from_handsets.clear()
        self._fired.clear()
        self.blacklist.clear()

    def now(self) -> float:
        """Return the simulator's time in seconds since the epoch."""
        return self._clock()


def new_id() -> str:
    """Return an id like the vendor's: a negative 64-bit number as text."""
    return str(-secrets.randbelow(2**63) - 1)


def pin_in(text: str) -> str | None:
    """Return the only run of 6 to 10 digits in a text, None if there is none or more than one."""
    found = set(_STANDALONE_DIGITS.findall(text))
    return found.pop() if len(found) == 1 else None
