"""The events that webhooks get: their names and their `data`."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field
from typing_extensions import TypeAliasType

from otp_service.api.kit.answers import Answer, Timestamp
from otp_service.api.notifications import NotificationAnswer
from otp_service.api.opt_outs import OptOutSource
from otp_service.api.verifications import VerificationAnswer
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
    "verification.*",
    "notification.*",
    "number.*",
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


_DATA: dict[type, type[Answer]] = {
    Verification: VerificationAnswer,
    Notification: NotificationAnswer,
    NumberState: NumberEventAnswer,
}


def as_json(resource: object) -> Any:
    """Return the `data` of an event: what a GET returns, never a proof. `decoy` is true for a decoy, else absent."""
    shown = _DATA[type(resource)].model_validate(resource).model_dump(mode="json", exclude={"proof"})
    is_decoy = isinstance(resource, Verification) and resource.decoy
    return shown | ({"decoy": True} if is_decoy else {})
