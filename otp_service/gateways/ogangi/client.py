"""`OgangiGateway`: the methods of the Campaign Manager behind the gateway interface."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from otp_service.gateways.base import Message, Outcome, Probe, Sent
from otp_service.gateways.ogangi import replies, signing
from otp_service.gateways.ogangi.statuses import is_failure
from otp_service.gateways.ogangi.transport import Answer, NoAnswer, Transport

_PIN_METHOD = "tools/sendSMSPinMobileNumberConfirm"
_PROBE_FILTER = "order=desc"


@dataclass(frozen=True, slots=True)
class Account:
    """The customer's account. `base_url`: scheme, host and web-app context; `sender`: a short or long code."""

    base_url: str
    instance_id: str
    public_key: str
    private_key: str = field(repr=False)
    sender: str


class OgangiGateway:
    """The Campaign Manager as a gateway. No URL of it may be logged: numbers and texts stand in its path."""

    def __init__(self, account: Account, *, padding: bool, pin_placeholder: str) -> None:
        self._account = account
        self._padding = padding
        self._pin_placeholder = pin_placeholder
        self._transport = Transport()

    @property
    def pin_placeholder(self) -> str:
        """Where the vendor puts its PIN in the text (section 3: assumed `{0}`); empty: it appends it."""
        return self._pin_placeholder

    async def send_pin(self, message: Message, pin_length: int, timeout: float) -> Sent:
        """sendSMSPinMobileNumberConfirm (section 1): the vendor makes the PIN and returns it."""

        def segments(carrier: str) -> list[str]:
            return [*self._head(carrier), _number(message.to), self._base64(message.text), _length(pin_length)]

        def read(reply: replies.Reply) -> Sent:
            pin = replies.usable_pin(reply, pin_length)
            return Sent(Outcome.ACCEPTED, "ok", pin=pin) if pin else Sent(Outcome.UNKNOWN, "no_pin")

        return await self._send_by_carrier(_PIN_METHOD, message.carrier, segments, read, timeout)

    async def send_sms(self, message: Message, timeout: float) -> Sent:
        """sendSMS (section 1): the one method whose mobile number is Base64 too."""

        def segments(carrier: str) -> list[str]:
            return [*self._head(carrier), self._base64(_number(message.to)), self._base64(message.text)]

        return await self._send_by_carrier("tools/sendSMS", message.carrier, segments, _read_messages, timeout)

    async def send_mt(self, message: Message, timeout: float) -> Sent:
        """sendMT (section 1): sender before carrier, and `null` lets the vendor choose the carrier."""

        def segments() -> list[str]:
            instance, sender = signing.plain(self._account.instance_id), signing.plain(self._account.sender)
            return [instance, sender, "null", _number(message.to), self._base64(message.text)]

        return await self._send("sendMT", segments, lambda _reply: Sent(Outcome.ACCEPTED, "ok"), timeout)

    async def probe(self, timeout: float) -> Probe:
        """getMOMessages (sections 1 and 4), first page, one result: signed like a send, but only reads."""

        def segments() -> list[str]:
            return [signing.plain(self._account.instance_id), "1", "1", signing.plain(_PROBE_FILTER, keep="=&,")]

        went = await self._send("tools/getMOMessages", segments, lambda _reply: Sent(Outcome.ACCEPTED, "ok"), timeout)
        return Probe(went.outcome is Outcome.ACCEPTED, _advice(went.reason))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()

    async def _send_by_carrier(
        self,
        method: str,
        carrier: str | None,
        segments: Callable[[str], list[str]],
        read: Callable[[replies.Reply], Sent],
        timeout: float,
    ) -> Sent:
        if carrier is None:
            return Sent(Outcome.REFUSED, "no_carrier")
        return await self._send(method, lambda: segments(carrier), read, timeout)

    async def _send(
        self,
        method: str,
        segments: Callable[[], list[str]],
        read: Callable[[replies.Reply], Sent],
        timeout: float,
    ) -> Sent:
        try:
            url = self._url(method, segments())
        except ValueError:
            return Sent(Outcome.REFUSED, "bad_segment")
        return _outcome(await self._transport.get(url, timeout), read)

    def _url(self, method: str, segments: list[str]) -> str:
        keys = {"public_key": self._account.public_key, "private_key": self._account.private_key}
        return self._account.base_url.rstrip("/") + signing.signed_path(method, segments, **keys)

    def _head(self, carrier: str) -> list[str]:
        """What the `tools/send...` methods begin with (section 1); `null` as carrier is documented for sendMT alone."""
        if carrier == "null":
            raise ValueError("the carrier must be a name")
        return [signing.plain(text) for text in (self._account.instance_id, carrier, self._account.sender)]

    def _base64(self, text: str) -> str:
        return signing.base64_segment(text, padding=self._padding)


def _number(e164: str) -> str:
    """Digits with the country code, no `+` (section 1)."""
    if not re.fullmatch(r"\+[0-9]+", e164):
        raise ValueError("must be E.164")
    return e164[1:]


def _length(pin_length: int) -> str:
    """The bounds that section 3 assumes."""
    if not 4 <= pin_length <= 10:
        raise ValueError("must be 4 to 10")
    return str(pin_length)


def _outcome(answer: Answer | NoAnswer, read: Callable[[replies.Reply], Sent]) -> Sent:
    """What the vendor says and what a failure of HTTP means: docs/gateway.md."""
    if isinstance(answer, NoAnswer):
        return Sent(Outcome.UNKNOWN if answer.left else Outcome.REFUSED, answer.reason)
    if answer.status != 200:
        surely_not = 400 <= answer.status < 500 or answer.status == 503
        return Sent(Outcome.REFUSED if surely_not else Outcome.UNKNOWN, f"http_{answer.status}")
    reply = replies.parse(answer.body) if answer.body is not None else None
    if reply is None:
        return Sent(Outcome.UNKNOWN, "unreadable")
    return read(reply) if reply.status == "OK" else Sent(Outcome.REFUSED, reply.status.lower())


def _read_messages(reply: replies.Reply) -> Sent:
    messages = replies.sent_messages(reply)
    failed = [message.status is not None and is_failure(message.status) for message in messages]
    if not messages or any(message.status is None for message in messages):
        return Sent(Outcome.UNKNOWN, "no_message")
    if all(failed):
        return Sent(Outcome.REFUSED, "message_failed", message_id=messages[0].id)
    if any(failed):
        return Sent(Outcome.UNKNOWN, "some_messages_failed", message_id=messages[0].id)
    return Sent(Outcome.ACCEPTED, "ok", message_id=messages[0].id)


_ADVICE = {
    "ok": "The gateway answers and accepts our signature.",
    "bad_signature": "The gateway refuses our signature: check the public key, the private key and the instance id.",
    "error": "The gateway answers with an error: check the instance id, then ask the vendor.",
    "not_connected": "No connection to the gateway: check the base URL, the DNS name, the firewall, the certificate.",
    "timeout": "The gateway did not answer in time: check the network, or allow more time.",
    "connection_lost": "The gateway closed the connection without an answer: try again, then ask the vendor.",
    "unreadable": "What answers is not the Campaign Manager: check that the base URL ends with the web-app context.",
    "bad_segment": "The instance id or the public key holds a character that no URL segment can hold.",
    "http_404": "The gateway does not know this address: check that the base URL ends with the web-app context.",
    "http_401": "The gateway wants another login: check with the vendor that API access is on.",
    "http_403": "The gateway forbids the call: check with the vendor that our address is allowed.",
}


def _advice(reason: str) -> str:
    status = reason.removeprefix("http_")
    other = f"The gateway answers with HTTP status {status}: check the base URL, then ask the vendor."
    return _ADVICE.get(reason, other)
