"""Signed calls of any method, on behalf of one account."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from otp_service.gateways.base import Outcome, Sent
from otp_service.gateways.ogangi import replies, signing
from otp_service.gateways.ogangi.methods import Method
from otp_service.gateways.transport import Answer, NoAnswer, Request, Transport

LONGEST_URL = 8000
"""In characters. Web servers and proxies refuse or cut URLs that are a little longer."""

_PASSING = frozenset(
    {"not_connected", "http_408", "http_425", "http_429", "http_503", "error", "bad_signature", "carrier_signature"}
)


@dataclass(frozen=True, slots=True)
class Account:
    """The customer's account. `base_url`: scheme, host and web-app context; `sender`: a short or long code."""

    base_url: str
    instance_id: str
    public_key: str
    private_key: str = field(repr=False)
    sender: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The names in fireMessage's JSON. An administrator of the platform can change them."""

    sender: str = "sender_id_id"
    keyword: str = "keyword_value"
    number: str = "recipient_address"


class Caller:
    """Calls the Campaign Manager. Its URLs must not be logged: their paths contain numbers and texts."""

    def __init__(self, account: Account, *, padding: bool, descriptor: Descriptor) -> None:
        self._account = account
        self._padding = padding
        self._descriptor = descriptor
        self._transport = Transport()

    def request(self, method: Method, values: Mapping[str, str]) -> Request:
        """Return the request, with the account's parameters. Raises ValueError, without the value."""
        own = {"instanceId": self._account.instance_id, "from": self._account.sender}
        known = {each.name for each in (*method.url, *method.body)}
        whole = method.complete({**{name: own[name] for name in own if name in known}, **values})
        segments = [each.segment(whole[each.name], padding=self._padding) for each in method.url]
        keys = {"public_key": self._account.public_key, "private_key": self._account.private_key}
        url = self._account.base_url.rstrip("/") + signing.signed_path(method.path, segments, **keys)
        return Request(url, self._body(method, whole), method.limit)

    async def call(self, method: Method, values: Mapping[str, str], timeout: float) -> replies.Reply | Sent:
        """Return the reply, whatever its status; if there is none, the outcome: refused or unknown."""
        try:
            request = self.request(method, values)
        except ValueError:
            return refused("bad_segment")
        if len(request.url) > LONGEST_URL:
            return refused("url_too_long")
        return _read(await self._transport.exchange(request, timeout), is_list=method.is_list)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _body(self, method: Method, values: Mapping[str, str]) -> bytes | None:
        """Return the descriptor of fireMessage, which is not signed."""
        if not method.body:
            return None
        names = {"from": self._descriptor.sender, "text": self._descriptor.keyword}
        names["mobileNumber"] = self._descriptor.number
        fields = {names[each.name]: each.segment(values[each.name], padding=False) for each in method.body}
        return json.dumps({"event": {"fld-val-list": fields}}).encode()


def refused(reason: str) -> Sent:
    """Return the outcome if surely nothing was sent. docs/gateway.md says which reasons are passing."""
    return Sent(Outcome.REFUSED, reason, passing=reason in _PASSING)


def _read(answer: Answer | NoAnswer, *, is_list: bool) -> replies.Reply | Sent:
    """Return the reply, or the outcome of an HTTP failure (docs/gateway.md)."""
    if isinstance(answer, NoAnswer):
        return Sent(Outcome.UNKNOWN, answer.reason) if answer.was_sent else refused(answer.reason)
    if answer.status != 200:
        surely_not = 400 <= answer.status < 500 or answer.status == 503
        reason = f"http_{answer.status}"
        return refused(reason) if surely_not else Sent(Outcome.UNKNOWN, reason)
    reply = replies.parse(answer.body, is_list=is_list) if answer.body is not None else None
    return reply or Sent(Outcome.UNKNOWN, "unreadable")
