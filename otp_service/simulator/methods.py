"""What each method of the Campaign Manager does, once signature and parameters are good."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from otp_service.simulator import filters
from otp_service.simulator.answers import element, leaf
from otp_service.simulator.store import Message, MobileOriginated, Store, new_id
from otp_service.simulator.wire import BadParameterError, Method

T = TypeVar("T")


@dataclass(frozen=True)
class Done:
    """The effect of a method. `result`: the elements inside `<result>`, None if the method has none."""

    result: str | None
    pin: str | None = None


def send_pin(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Generate a PIN, put it in place of `{0}` or at the end, deliver the text and return the PIN."""
    pin = "".join(secrets.choice("0123456789") for _ in range(int(values["length"])))
    text = values["text"].replace("{0}", pin) if "{0}" in values["text"] else values["text"] + pin
    name = "sendSMSPinMobileNumberConfirm"
    store.deliver(name, values["number"], text, sender=values["sender"], carrier=values["carrier"], pin=pin)
    return Done(pin_result(pin), pin)


def pin_result(*pins: str) -> str:
    """Return the result of the PIN method."""
    return element("PinSMSConfirmation", *(leaf("pin", pin) for pin in pins))


def send_sms(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Deliver a text and return its message."""
    sent = store.deliver(
        "sendSMS", values["number"], values["text"], sender=values["sender"], carrier=values["carrier"]
    )
    return Done(element("messages", _message(sent)))


def failed_message(store: Store, values: dict[str, str], status: str) -> str:
    """Return the result of a sendSMS whose message failed; nothing is delivered."""
    message = Message(
        id=new_id(),
        at=store.now(),
        method="sendSMS",
        to=values["number"],
        sender=values["sender"],
        carrier=values["carrier"],
        text=values["text"],
        pin=None,
        status=status,
    )
    return element("messages", _message(message))


def send_mt(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Deliver a text; there is no result."""
    store.deliver("sendMT", values["number"], values["text"], sender=values["sender"], carrier=values["carrier"])
    return Done(None)


def fire_message(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Store a text as if the handset had sent it."""
    store.fire(values["number"], values["text"], "")
    return Done(None)


def fire_descriptor(store: Store, values: dict[str, str], body: bytes) -> Done:
    """Store the text of a JSON descriptor as if the handset had sent it."""
    try:
        fields = json.loads(body)["event"]["fld-val-list"]
        code, keyword, to = (fields[name] for name in ("sender_id_id", "keyword_value", "recipient_address"))
        "".join((code, keyword, to)).encode()  # texts, and none with half a character
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadParameterError from None
    if not re.fullmatch(r"[0-9]{1,20}", to):
        raise BadParameterError
    store.fire(to, keyword, code)
    fired = (leaf("instanceId", values["instance"]), leaf("mobileNumber", to), leaf("text", keyword))
    return Done(element("mo", *fired))


def get_message(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Return a message by its id."""
    message = store.message(values["message_id"])
    if message is None:
        raise BadParameterError
    return Done(_message(message))


def get_mo_messages(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Return a page of the messages from handsets; newest first unless ORDER is ASC."""
    found = filters.parse(values["filters"], filters.MOS).select(store.from_handsets())
    shown = [_received(received) for received in _page(found, values)]
    return Done(element("MOMessageList", leaf("records", str(len(found))), element("MessageList", *shown)))


def message_report(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Return a page of the messages between two times, of every method; newest first unless ORDER is ASC."""
    sent = store.between(int(values["initial"]) / 1000, int(values["final"]) / 1000)
    found = filters.parse(values["filters"], filters.MESSAGES).select(sent)
    shown = [_message(message) for message in _page(found, values)]
    return Done(element("messages", leaf("records", str(len(found))), *shown))


def is_blacklisted(store: Store, values: dict[str, str], _body: bytes) -> Done:
    """Return whether a number is blocked, for all short codes alike."""
    blocked = values["number"] in store.blacklist
    return Done(
        element("userBlackList", leaf("text", str(blocked).lower()), leaf("blackListType", "GLOBAL" if blocked else ""))
    )


def _page(found: list[T], values: dict[str, str]) -> list[T]:
    page, size = int(values["page"]), int(values["results"])
    if page < 1 or size < 1:
        raise BadParameterError
    return found[(page - 1) * size : page * size]


def _message(message: Message) -> str:
    fields = {
        "id": message.id,
        "carrier": message.carrier,
        "from": message.sender,
        "to": message.to,
        "text": message.text,
        "status": message.status,
        "statusDescription": message.status.replace("_", " ").capitalize(),
        "encoding": "UTF-8",
        "date": _date(message.at),
        "timezone": "UTC",
        "clientId": "",
    }
    return element("message", *(leaf(name, text) for name, text in fields.items()))


def _received(received: MobileOriginated) -> str:
    fields = {
        "text": received.text,
        "from": received.sender,
        "to": received.to,
        "encoding": "UTF-8",
        "keyword": received.keyword,
        "carrier": received.carrier,
        "sendDate": _date(received.at),
    }
    return element("MOMessage", *(leaf(name, text) for name, text in fields.items()))


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


_ACTIONS: dict[tuple[str, str], Callable[[Store, dict[str, str], bytes], Done]] = {
    ("GET", "sendSMSPinMobileNumberConfirm"): send_pin,
    ("GET", "sendSMS"): send_sms,
    ("GET", "sendMT"): send_mt,
    ("GET", "fireMessage"): fire_message,
    ("POST", "fireMessage"): fire_descriptor,
    ("GET", "getMOMessages"): get_mo_messages,
    ("GET", "getMessage"): get_message,
    ("GET", "messageReport"): message_report,
    ("GET", "isUserInBlackList"): is_blacklisted,
}


def act(method: Method, store: Store, values: dict[str, str], body: bytes) -> Done:
    """Run `method`. Raises BadParameterError."""
    return _ACTIONS[method.verb, method.name](store, values, body)
