"""The methods of the Campaign Manager: address, verb, parameters, and how each parameter is written in the URL."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from otp_service.gateways.ogangi import signing

SEND_LIMIT = 64 * 1024
LIST_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `encode`: returns its segment, or raises ValueError without the value; `hint`: for a person."""

    name: str
    hint: str
    encode: Callable[[str], str]
    base64: bool = False
    default: str | None = None

    def segment(self, value: str, *, padding: bool) -> str:
        """Return the segment of `value` in the URL. Raises ValueError, without the value."""
        try:
            text = self.encode(value)
            return signing.base64_segment(text, padding=padding) if self.base64 else text
        except UnicodeError:
            raise ValueError(f"{self.name} must be Unicode text") from None
        except ValueError as error:
            raise ValueError(f"{self.name} {error}") from None


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `url`: the segments between its path and the public key, in their order.

    `body`: the parameters in the JSON descriptor of a POST; `result`: the content of `<result>`, None if there is none.
    """

    name: str
    path: str
    url: tuple[Parameter, ...]
    result: str | None
    body: tuple[Parameter, ...] = ()
    is_list: bool = False

    @property
    def verb(self) -> str:
        """Return the HTTP verb. GET is assumed for all methods except the one with a descriptor."""
        return "POST" if self.body else "GET"

    @property
    def limit(self) -> int:
        """Return the number of bytes of its reply that are read."""
        return LIST_LIMIT if self.is_list else SEND_LIMIT

    def complete(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return every parameter with its value or default. Raises ValueError that names what is missing or unknown."""
        parameters = {each.name: each for each in (*self.url, *self.body)}
        unknown = [name for name in values if name not in parameters]
        defaults = {name: each.default for name, each in parameters.items() if each.default is not None}
        whole = {**defaults, **values}
        missing = [f"{name} ({each.hint})" for name, each in parameters.items() if name not in whole]
        if unknown:
            raise ValueError(f"{self.name} has no {', '.join(unknown)}; it has {', '.join(parameters)}")
        if missing:
            raise ValueError(f"{self.name} needs {'; '.join(missing)}")
        return whole


def _bounded(least: int, most: int) -> Callable[[str], str]:
    def encode(value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,15}", value) or not least <= int(value) <= most:
            raise ValueError(f"must be {least} to {most}")
        return value

    return encode


def _number(e164: str) -> str:
    """Return the digits with the country code, without `+`."""
    if not re.fullmatch(r"\+[0-9]+", e164):
        raise ValueError("must be E.164")
    return e164[1:]


def _carrier_name(name: str) -> str:
    if name == "null":  # documented for sendMT alone
        raise ValueError("must be an operator's name")
    return signing.plain(name)


_INSTANCE = Parameter("instanceId", "of the account", signing.plain)
_FROM = Parameter("from", "the short or long code that it comes from", signing.plain)
_CARRIER = Parameter("carrier", "the operator's name, case-sensitive", _carrier_name)
_CARRIER_ID = Parameter("carrier", "an operator's id, or null", signing.plain, default="null")
_NUMBER = Parameter("mobileNumber", "E.164, such as +573001234567", _number)
_NUMBER_BASE64 = Parameter("mobileNumber", "E.164, such as +573001234567", _number, base64=True)
_TEXT = Parameter("text", "the message", str, base64=True)
_LENGTH = Parameter("length", "of the PIN, 4 to 10", _bounded(4, 10))
_FLAGS = Parameter("flags", "opaque", partial(signing.plain, keep="=,;:+"))
_PAGE = Parameter("page", "from 1", _bounded(1, 10**9), default="1")
_RESULTS = Parameter("resultsPerPage", "from 1", _bounded(1, 1000), default="20")
_FILTERS = Parameter(
    "parameters", "filters such as from=13056708084&order=desc", partial(signing.plain, keep="=&,"), default="null"
)
_EPOCH = _bounded(0, 10**15 - 1)
_INITIAL_DATE = Parameter("initialDate", "milliseconds since 1970", _EPOCH)
_FINAL_DATE = Parameter("finalDate", "milliseconds since 1970", _EPOCH)
_MESSAGE_ID = Parameter("messageId", "from sendSMS or messageReport", signing.plain)
_BLACKLIST_NUMBER = Parameter("mobilenumber", "E.164, such as +573001234567", _number)
_SHORTCODE = Parameter("shortcode", "one code, or -1 for all", signing.plain, default="-1")
_BODY_FROM = Parameter("from", _FROM.hint, str)
_KEYWORD = Parameter("text", "a keyword of the campaign, such as STOP", str)

SEND_PIN = Method(
    "sendSMSPinMobileNumberConfirm",
    "tools/sendSMSPinMobileNumberConfirm",
    (_INSTANCE, _CARRIER, _FROM, _NUMBER, _TEXT, _LENGTH),
    "PinSMSConfirmation/pin",
)
SEND_SMS = Method("sendSMS", "tools/sendSMS", (_INSTANCE, _CARRIER, _FROM, _NUMBER_BASE64, _TEXT), "messages/message")
SEND_MT = Method("sendMT", "sendMT", (_INSTANCE, _FROM, _CARRIER_ID, _NUMBER, _TEXT), None)
SEND_MT_FLAGS = Method("sendMT-flags", "sendMT", (*SEND_MT.url, _FLAGS), None)
FIRE_MESSAGE = Method("fireMessage", "fireMessage", (_INSTANCE, _NUMBER, _TEXT), None)
FIRE_DESCRIPTOR = Method("fireMessage-POST", "fireMessage", (_INSTANCE,), "mo", body=(_BODY_FROM, _NUMBER, _KEYWORD))
GET_MO_MESSAGES = Method(
    "getMOMessages", "tools/getMOMessages", (_INSTANCE, _PAGE, _RESULTS, _FILTERS), "MOMessageList", is_list=True
)
GET_MESSAGE = Method("getMessage", "tools/getMessage", (_INSTANCE, _MESSAGE_ID), "message")
MESSAGE_REPORT = Method(
    "messageReport",
    "tools/messageReport",
    (_INSTANCE, _INITIAL_DATE, _FINAL_DATE, _PAGE, _RESULTS, _FILTERS),
    "messages",
    is_list=True,
)
IS_USER_IN_BLACKLIST = Method(
    "isUserInBlackList", "isUserInBlackList", (_INSTANCE, _BLACKLIST_NUMBER, _SHORTCODE), "userBlackList"
)

METHODS: dict[str, Method] = {
    each.name: each
    for each in (
        *(SEND_PIN, SEND_SMS, SEND_MT, SEND_MT_FLAGS, FIRE_MESSAGE, FIRE_DESCRIPTOR),
        *(GET_MO_MESSAGES, GET_MESSAGE, MESSAGE_REPORT, IS_USER_IN_BLACKLIST),
    )
}
"""By the name that `otp-service gateway call` takes."""
