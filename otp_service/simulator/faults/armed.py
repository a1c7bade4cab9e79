"""Which faults are asked for, for which method, and how often still."""

from dataclasses import asdict, dataclass
from typing import Any

from otp_service.simulator.faults.kinds import FAULTS

_METHODS = {
    "sendSMSPinMobileNumberConfirm": "pin",
    "sendSMS": "sms",
    "sendMT": "mt",
    "getMOMessages": "mo",
    "getMessage": "message",
    "messageReport": "report",
    "isUserInBlackList": "blacklist",
    "fireMessage": "fire",
}
_SENDING = ("pin", "sms", "mt")
_PIN_FAULTS = ("no_pin", "two_pins", "pin_elsewhere", "short_pin", "letters_pin")
_ONLY_FOR = dict.fromkeys(_PIN_FAULTS, "pin") | {"message_failed": "sms"}
_LONGEST = 3600


class BadFaultError(Exception):
    """The request does not describe a fault; the text says why."""


@dataclass
class ArmedFault:
    """A fault that waits for calls. `method`: `*` is every method that sends; `times`: None until cleared."""

    method: str
    fault: str
    times: int | None = 1
    seconds: float = 1.0

    def meets(self, method: str) -> bool:
        """Return whether a call of this method meets the fault."""
        kind = _METHODS[method]
        meant = kind in _SENDING if self.method == "*" else kind == self.method
        return meant and _ONLY_FOR.get(self.fault, kind) == kind


class ArmedFaults:
    """The faults that wait for calls, oldest first."""

    def __init__(self) -> None:
        self._armed: list[ArmedFault] = []

    def add(self, asked: object) -> dict[str, Any]:
        """Arm the fault of a request's JSON. Raises BadFaultError."""
        fault = _checked(asked)
        self._armed.append(fault)
        return asdict(fault)

    def take(self, method: str) -> ArmedFault | None:
        """Return the first fault that a call of `method` meets, and count that call."""
        fault = next((armed for armed in self._armed if armed.meets(method)), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._armed.remove(fault)
        return fault

    def as_json(self) -> list[dict[str, Any]]:
        """Return the faults as `GET /faults` lists them."""
        return [asdict(armed) for armed in self._armed]

    def clear(self) -> None:
        """Disarm every fault."""
        self._armed.clear()


def _checked(asked: object) -> ArmedFault:
    if not isinstance(asked, dict):
        raise BadFaultError('should be an object like {"method": "pin", "fault": "refuse", "times": 1}')
    if unknown := set(asked) - {"method", "fault", "times", "seconds"}:
        raise BadFaultError(f"has keys that mean nothing: {', '.join(sorted(unknown))}")
    fault = ArmedFault(_method(asked), _fault(asked), _times(asked), _seconds(asked))
    only = _ONLY_FOR.get(fault.fault, fault.method)
    if fault.method not in ("*", only):
        raise BadFaultError(f"fault {fault.fault} exists for method {only} alone")
    return fault


def _method(asked: dict[str, Any]) -> str:
    method = asked.get("method")
    if method not in (*_METHODS.values(), "*"):
        raise BadFaultError(f"method should be {', '.join(_METHODS.values())} or *")
    return str(method)


def _fault(asked: dict[str, Any]) -> str:
    fault = asked.get("fault")
    if not isinstance(fault, str) or fault not in FAULTS:
        raise BadFaultError(f"fault should be one of {', '.join(FAULTS)}")
    return fault


def _times(asked: dict[str, Any]) -> int | None:
    times = asked.get("times", 1)
    if times is not None and (type(times) is not int or times < 1):
        raise BadFaultError("times should be a whole number from 1, or null for until cleared")
    return times


def _seconds(asked: dict[str, Any]) -> float:
    seconds = asked.get("seconds", 1.0)
    if type(seconds) not in (int, float) or not 0 <= seconds <= _LONGEST:
        raise BadFaultError(f"seconds should be a number from 0 to {_LONGEST}")
    return float(seconds)
