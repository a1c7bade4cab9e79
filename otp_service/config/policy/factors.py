"""The policy table `[factors]`: second factors of an application's users."""

from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, StrictInt

from otp_service import texts
from otp_service.config.policy.messaging import Table


def checked_brand(brand: str) -> str:
    """Return a brand. Raises ValueError if it cannot be part of a message."""
    if not 1 <= len(brand) <= 40 or brand != brand.strip() or not texts.is_printable(brand):
        raise ValueError("must be 1 to 40 printable characters, without spaces around them")
    if "{" in brand or "}" in brand:
        raise ValueError("must not contain braces")
    return brand


class FactorRules(Table):
    """The rules of second factors. `brand`: the issuer that an authenticator app shows; times are in seconds.

    `self_service`: the application itself makes sure that who changes factors is the user; no proof is needed.
    `notify`: a subject's phones get a notice when a factor is added or removed.
    """

    brand: Annotated[str, AfterValidator(checked_brand)] = "Example"
    most_per_subject: StrictInt = Field(default=10, ge=1, le=100)
    device_lifetime: StrictInt = Field(default=30 * 86400, ge=60, le=366 * 86400)
    self_service: StrictBool = False
    notify: StrictBool = True
