"""Form-encoded request bodies, with Twilio's parameters."""

import re
from typing import Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import ConfigDict
from pydantic.alias_generators import to_pascal
from starlette.requests import Request

from otp_service.api.kit import bodies
from otp_service.api.kit.fields import Address, Body, Locale, Pin
from otp_service.errors import Refusal

MOST_PARAMETERS = 50
_MEDIA_TYPE = re.compile(r"application/x-www-form-urlencoded\s*(;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE)

FormT = TypeVar("FormT", bound="Form")


class Form(Body):
    """A form. Parameters that would change a message or its PIN are unknown here, and rejected."""

    model_config = ConfigDict(alias_generator=to_pascal)


class StartForm(Form):
    """Starts a verification, or resends the PIN of the pending one."""

    to: str
    channel: Literal["sms"]
    locale: Locale | None = None
    device_ip: Address | None = None
    # Accepted and ignored: the service has its own limits, and no use for labels.
    tags: str | None = None
    rate_limits: str | None = None
    risk_check: str | None = None


class UpdateForm(Form):
    """Cancels a verification. `approved` does not exist here: only a check approves."""

    status: Literal["canceled"]


class CheckForm(Form):
    """Checks a PIN, of a verification or of the newest one of a number."""

    code: Pin
    to: str | None = None
    verification_sid: str | None = None


async def read(request: Request, model: type[FormT]) -> FormT:
    """Return the form. Refusals: `unsupported_media_type`, `too_large`, `malformed`, `invalid`."""
    if not _MEDIA_TYPE.fullmatch(request.headers.get("content-type", "")) or "content-encoding" in request.headers:
        raise Refusal("unsupported_media_type", "Send application/x-www-form-urlencoded in UTF-8, uncompressed.")
    return bodies.validated(model, _parse(await bodies.raw(request)))


def _parse(raw: bytes) -> dict[str, str]:
    """Return the parameters; reject a parameter that is there twice, on which parsers disagree."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        # Not chained: the parser's error contains the body.
        raise Refusal("malformed", "The body is not a form in UTF-8.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refusal("malformed", "The form has a duplicate parameter.")
    return form
