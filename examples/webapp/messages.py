"""What the user reads if something did not work."""

import math
from datetime import UTC, datetime

from otp_service_client import errors

from examples.webapp.sessions import seconds_until

RESULTS = {
    "incorrect": "This {} is not correct.",
    "exhausted": "Too many wrong {}s. Please start again.",
    "expired": "This {} has expired. Please start again.",
    "locked": "Too many wrong {}s. Please wait {}, then try again.",
    "canceled": "This {} is no longer valid. Please start again.",
    "already_approved": "This {} has already been used. Please start again.",
    "no_pin": "The message may not have arrived. Please ask for another one.",
}
"""By the result of a check. Each names what was typed; `locked` says how long to wait."""

REFUSALS = {
    "invalid_number": "We cannot send an SMS to this number. It must begin with + and the country code.",
    "country_not_allowed": "We cannot send an SMS to this country.",
    "gateway_failed": "We could not send the message. Please try again in a minute.",
    "opted_out": "This number has opted out of our messages. Reply START to one of them, then try again.",
    "no_sends_left": "No more messages can be sent. Use the last one, or start again in ten minutes.",
    "not_pending": "This PIN is no longer valid. Please start again.",
    "mismatch": "This PIN was requested in another browser. Please start again.",
    "not_found": "This PIN is no longer valid. Please start again.",
    "invalid_proof": "This took too long. Please start again.",
    "already_redeemed": "This PIN has already been used. Please start again.",
    "no_factor": "This way to log in was removed. Please start again.",
    "proof_needed": "This took too long. Please start again.",
    "too_many_factors": "You have as many apps and phones as you can have. Remove one first.",
}
"""By the code of an error."""

OTHER = "This did not work just now. Please try again in a minute."
MALFORMED = {
    "PIN": "A PIN has six digits.",
    "code": "A code of the app has six digits.",
    "recovery code": "A recovery code has ten letters and digits.",
}
"""By what was typed."""


def of_check(result: str, left: int | None = None, what: str = "PIN", retry_at: datetime | None = None) -> str:
    """Return the sentence for a check that was not approved. `left`: its attempts; `what`: was typed."""
    wait = duration(seconds_until(retry_at, datetime.now(UTC))) if retry_at else "a while"
    sentence = RESULTS["exhausted" if result == "incorrect" and left == 0 else result].format(what, wait)
    if result != "incorrect" or not left:
        return sentence
    return f"{sentence} You have {left} {'try' if left == 1 else 'tries'} left."


def of_error(error: errors.Error, what: str = "PIN") -> str:
    """Return the sentence for an error. `what`: was typed."""
    if isinstance(error, errors.RateLimited) and error.retry_after:
        return f"Please wait {duration(error.retry_after)}, then try again."
    if isinstance(error, errors.Invalid) and any(wrong.field == "pin" for wrong in error.errors):
        return MALFORMED[what]
    return REFUSALS.get(error.code, OTHER)


def duration(seconds: float) -> str:
    """Return a duration in words, rounded up."""
    size, unit = next(
        ((size, unit) for size, unit in ((3600, "hour"), (60, "minute")) if seconds > 2 * size), (1, "second")
    )
    count = math.ceil(seconds / size)
    return f"{count} {unit}{'' if count == 1 else 's'}"
