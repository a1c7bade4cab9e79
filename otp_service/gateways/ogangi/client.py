"""The Campaign Manager as a gateway."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from otp_service import phone
from otp_service.gateways.base import InboundMessage, Message, NoReply, Outcome, Probe, Receipt, Sent
from otp_service.gateways.ogangi import methods, records, replies, signing
from otp_service.gateways.ogangi.advice import advice
from otp_service.gateways.ogangi.caller import Account, Caller, Descriptor, refused
from otp_service.gateways.ogangi.methods import Method
from otp_service.gateways.ogangi.replies import Reply
from otp_service.gateways.ogangi.statuses import is_failure, is_passing

T = TypeVar("T")

_ACCEPTED = Sent(Outcome.ACCEPTED, "ok")
_REPORT_PAGES = 5
_REPORT_SIZE = 100


class OgangiGateway:
    """A gateway that calls the Campaign Manager. `mt_flags`: of sendMT, may be ""; `caller`: for calls by hand."""

    def __init__(
        self,
        account: Account,
        *,
        padding: bool,
        pin_placeholder: str,
        mt_flags: str = "",
        descriptor: Descriptor | None = None,
    ) -> None:
        self.caller = Caller(account, padding=padding, descriptor=descriptor or Descriptor())
        self._pin_placeholder = pin_placeholder
        self._mt_flags = mt_flags

    @property
    def pin_placeholder(self) -> str:
        """Return the mark that the vendor replaces by its PIN (assumed: `{0}`); if empty, it appends the PIN."""
        return self._pin_placeholder

    async def send_pin(self, message: Message, pin_length: int, timeout: float) -> Sent:
        """Call sendSMSPinMobileNumberConfirm: the vendor makes the PIN and returns it."""

        def read(reply: Reply) -> Sent:
            pin = replies.usable_pin(reply, pin_length)
            return Sent(Outcome.ACCEPTED, "ok", pin=pin) if pin else Sent(Outcome.UNKNOWN, "no_pin")

        if message.carrier is None:
            return refused("no_carrier")
        values = {**_addressed(message), "carrier": message.carrier, "length": str(pin_length)}
        return _of_carrier(await self._send(methods.SEND_PIN, values, read, timeout), message.carrier)

    async def send_sms(self, message: Message, timeout: float) -> Sent:
        """Call sendSMS, the only method whose mobile number is in Base64 too."""
        if message.carrier is None:
            return refused("no_carrier")
        values = {**_addressed(message), "carrier": message.carrier}
        return _of_carrier(await self._send(methods.SEND_SMS, values, _read_messages, timeout), message.carrier)

    async def send_mt(self, message: Message, timeout: float) -> Sent:
        """Call sendMT: `null` lets the vendor choose the carrier; the reply is only OK."""
        if not self._mt_flags:
            return await self._send(methods.SEND_MT, _addressed(message), lambda _reply: _ACCEPTED, timeout)
        values = {**_addressed(message), "flags": self._mt_flags}
        return await self._send(methods.SEND_MT_FLAGS, values, lambda _reply: _ACCEPTED, timeout)

    async def send_keyword(self, to: str, keyword: str, timeout: float) -> Sent:
        """Call fireMessage with a descriptor, which names our code; the GET form does not."""

        def read(reply: Reply) -> Sent:
            return Sent(Outcome.UNKNOWN, "no_result") if reply.root.find("result/mo") is None else _ACCEPTED

        return await self._send(methods.FIRE_DESCRIPTOR, {"mobileNumber": to, "text": keyword}, read, timeout)

    async def inbound(self, page: int, size: int, timeout: float) -> Sequence[InboundMessage] | NoReply:
        """Call getMOMessages, newest first."""
        values = {"page": str(page), "resultsPerPage": str(size), "parameters": "order=desc"}
        found = await self._read(methods.GET_MO_MESSAGES, values, records.incoming, timeout)
        return found if isinstance(found, NoReply) else found[:size]

    async def receipt(self, message_id: str, timeout: float) -> Receipt | NoReply:
        """Call getMessage. A reply about another message counts as no reply."""

        def read(reply: Reply) -> Receipt | None:
            found = records.receipt(reply)
            return found if found and found.message_id == message_id else None

        return await self._read(methods.GET_MESSAGE, {"messageId": message_id}, read, timeout)

    async def report(self, to: str, since: float, until: float, timeout: float) -> Sequence[Receipt] | NoReply:
        """Call messageReport for its first few pages.

        That it takes the filters of getMOMessages is assumed, so messages to other numbers are left out here.
        """
        deadline = time.monotonic() + timeout
        period = {"initialDate": str(math.floor(since * 1000)), "finalDate": str(math.ceil(until * 1000))}
        values = {**period, "resultsPerPage": str(_REPORT_SIZE), "parameters": f"to={to.removeprefix('+')}"}
        found: list[Receipt] = []
        for page in range(1, _REPORT_PAGES + 1):
            left = deadline - time.monotonic()
            got = await self._read(methods.MESSAGE_REPORT, {**values, "page": str(page)}, records.receipts, left)
            if isinstance(got, NoReply):
                return got
            found += [receipt for receipt in got[:_REPORT_SIZE] if receipt and phone.is_same(receipt.to or "", to)]
            if len(got) < _REPORT_SIZE:
                break
        return found

    async def is_blacklisted(self, to: str, timeout: float) -> bool | NoReply:
        """Call isUserInBlackList for all codes."""
        return await self._read(methods.IS_USER_IN_BLACKLIST, {"mobilenumber": to}, records.is_blacklisted, timeout)

    async def probe(self, timeout: float) -> Probe:
        """Call getMOMessages for one result: it is signed as a send is, but only reads."""
        values = {"resultsPerPage": "1", "parameters": "order=desc"}
        went = await self._send(methods.GET_MO_MESSAGES, values, lambda _reply: _ACCEPTED, timeout)
        return Probe(went.outcome is Outcome.ACCEPTED, advice(went.reason))

    async def aclose(self) -> None:
        """Close the connections."""
        await self.caller.aclose()

    async def _send(
        self, method: Method, values: Mapping[str, str], read: Callable[[Reply], Sent], timeout: float
    ) -> Sent:
        went = await self.caller.call(method, values, timeout)
        if isinstance(went, Sent):
            return went
        return read(went) if went.status == "OK" else refused(went.status.lower())

    async def _read(
        self, method: Method, values: Mapping[str, str], read: Callable[[Reply], T | None], timeout: float
    ) -> T | NoReply:
        went = await self.caller.call(method, values, timeout)
        if isinstance(went, Sent):
            return NoReply(went.reason)
        found = read(went) if went.status == "OK" else None
        if found is not None:
            return found
        return NoReply("no_result" if went.status == "OK" else went.status.lower())


def _addressed(message: Message) -> dict[str, str]:
    return {"mobileNumber": message.to, "text": message.text}


def _read_messages(reply: Reply) -> Sent:
    messages = replies.sent_messages(reply)
    statuses = [message.status for message in messages if message.status is not None]
    if not messages or len(statuses) < len(messages):
        return Sent(Outcome.UNKNOWN, "no_message")
    failed = [is_failure(status) for status in statuses]
    message_id = messages[0].id
    if all(failed):
        passing = all(is_passing(status) for status in statuses)
        return Sent(Outcome.REFUSED, "message_failed", message_id=message_id, passing=passing)
    if any(failed):
        return Sent(Outcome.UNKNOWN, "some_messages_failed", message_id=message_id)
    return Sent(Outcome.ACCEPTED, "ok", message_id=message_id)


def _of_carrier(sent: Sent, carrier: str) -> Sent:
    """Return the outcome; a rejected signature may be due to a carrier that is percent-encoded, not to our keys.

    Whether the vendor signs such a segment encoded or decoded is not documented.
    """
    is_encoded = signing.plain(carrier) != carrier if sent.reason == "bad_signature" else False
    return refused("carrier_signature") if is_encoded else sent
