"""The events that webhooks get: their names and their `data`."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field
from typing_extensions import TypeAliasType

from otp_service.api.factors.devices import DeviceAnswer
from otp_service.api.factors.factors import FactorAnswer
from otp_service.api.factors.recovery_codes import RecoveryCodeUseAnswer
from otp_service.api.kit.answers import Answer, Timestamp
from otp_service.api.kit.operation import Event
from otp_service.api.notifications import NotificationAnswer
from otp_service.api.opt_outs import OptOutSource
from otp_service.api.verifications import VerificationAnswer
from otp_service.services.factors.representation import Device, Factor, RecoveryCodeUse
from otp_service.services.guard.events import Alarm, CeilingShare, ExpectedTakeovers, Scope
from otp_service.services.notifications.notifications import Notification
from otp_service.services.verifications.representation import Verification
from otp_service.services.webhooks.messages import NumberState

_EventName = Literal[
    "verification.approved",
    "verification.expired",
    "verification.exhausted",
    "verification.canceled",
    "verification.failed",
    "verification.delivered",
    "verification.undelivered",
    "notification.sent",
    "notification.delivered",
    "notification.undelivered",
    "notification.failed",
    "number.opted_out",
    "number.opted_in",
    "factor.added",
    "factor.verified",
    "factor.removed",
    "factor.locked",
    "factor.recovery_code_used",
    "device.added",
    "device.revoked",
    "guard.alarm",
    "guard.ceiling",
    "guard.takeovers",
    "verification.*",
    "notification.*",
    "number.*",
    "factor.*",
    "device.*",
    "guard.*",
    "*",
]
EventName = TypeAliasType("EventName", _EventName)
EVENT_NAMES = get_args(_EventName)
EVENT_TYPES = tuple(name for name in EVENT_NAMES if not name.endswith("*"))


class NumberEventAnswer(Answer):
    """The `data` of the events of numbers."""

    to: Annotated[str | None, Field(description="The number in E.164; null once retention has deleted it.")]
    opted_out: Annotated[bool, Field(description="Whether no message is sent to the number.")]
    source: Annotated[OptOutSource | None, Field(description="`user`: by SMS; `client`: by an application.")]
    since: Annotated[Timestamp | None, Field(description="When it opted out; null if not opted out.")]


CeilingScope = TypeAliasType("CeilingScope", Scope)


class GuardAlarmAnswer(Answer):
    """The `data` of `guard.alarm`."""

    rule: Annotated[str, Field(description="The rule of the guard; docs/guard.md explains each.")]
    mode: Annotated[str, Field(description="`enforce`: messages are blocked; `record`: they are sent all the same.")]
    country: Annotated[str, Field(description="The ISO 3166 region of the numbers.")]


class GuardCeilingAnswer(Answer):
    """The `data` of `guard.ceiling`."""

    scope: Annotated[CeilingScope, Field(description="What the ceiling bounds.")]
    percent: Annotated[int, Field(description="50, 80 or 100: at 100 no message fits any more.")]
    country: Annotated[str | None, Field(description="The ISO 3166 region; null unless the scope is `country`.")]


class GuardTakeoversAnswer(Answer):
    """The `data` of `guard.takeovers`."""

    purpose: Annotated[str, Field(description="The purpose of the verifications.")]
    expected_per_hour: Annotated[float, Field(description="Accounts that guessed PINs are expected to open.")]


_MEANINGS = {
    "verification.approved": "A PIN was right, or the user texted the phrase.",
    "verification.expired": "The lifetime of a verification ended.",
    "verification.exhausted": "A verification has no attempts left.",
    "verification.canceled": "A verification was canceled.",
    "verification.failed": "No route could send the message of a verification.",
    "verification.delivered": "The message of a verification reached the phone.",
    "verification.undelivered": "The message of a verification did not reach the phone.",
    "notification.sent": "The gateway accepted a notification.",
    "notification.delivered": "A notification reached the phone.",
    "notification.undelivered": "A notification did not reach the phone.",
    "notification.failed": "A notification was given up.",
    "number.opted_out": "A number wants no more messages.",
    "number.opted_in": "A number wants messages again.",
    "factor.added": "A second factor was added; an authenticator app is not active yet.",
    "factor.verified": "A second factor became active.",
    "factor.removed": "A second factor was removed.",
    "factor.locked": "A wrong check made a user wait: someone may be guessing.",
    "factor.recovery_code_used": "A recovery code passed a challenge.",
    "device.added": "A browser or app is remembered.",
    "device.revoked": "A browser or app is no longer remembered.",
    "guard.alarm": "A rule of the guard began to block messages to a country; at most once an hour.",
    "guard.ceiling": "Messages have cost 50, 80 or 100 percent of a ceiling.",
    "guard.takeovers": "Guessed PINs are expected to open too many accounts; at most once an hour.",
}
_SHAPES: dict[str, type[Answer]] = {
    "verification": VerificationAnswer,
    "notification": NotificationAnswer,
    "number": NumberEventAnswer,
    "factor": FactorAnswer,
    "device": DeviceAnswer,
}


_SHAPES_BY_NAME: dict[str, type[Answer]] = {
    "factor.recovery_code_used": RecoveryCodeUseAnswer,
    "guard.alarm": GuardAlarmAnswer,
    "guard.ceiling": GuardCeilingAnswer,
    "guard.takeovers": GuardTakeoversAnswer,
}


def _shape(name: str) -> type[Answer]:
    return _SHAPES_BY_NAME.get(name) or _SHAPES[name.partition(".")[0]]


EVENTS = tuple(Event(name, _MEANINGS[name], _shape(name)) for name in EVENT_TYPES)
"""The events, for the OpenAPI document."""

_DATA: dict[type, type[Answer]] = {
    Verification: VerificationAnswer,
    Notification: NotificationAnswer,
    NumberState: NumberEventAnswer,
    Factor: FactorAnswer,
    RecoveryCodeUse: RecoveryCodeUseAnswer,
    Device: DeviceAnswer,
    Alarm: GuardAlarmAnswer,
    CeilingShare: GuardCeilingAnswer,
    ExpectedTakeovers: GuardTakeoversAnswer,
}


def as_json(resource: object) -> Any:
    """Return the `data` of an event: what a GET returns, never a proof. `decoy` is true for a decoy, else absent."""
    shown = _DATA[type(resource)].model_validate(resource).model_dump(mode="json", exclude={"proof"})
    is_decoy = isinstance(resource, Verification) and resource.decoy
    return shown | ({"decoy": True} if is_decoy else {})
