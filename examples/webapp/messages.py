"""What the user reads if something did not work."""

import math

from otp_service_client import Check, errors

RESULTS = {
    "incorrect": "This PIN is not correct.",
    "exhausted": "Too many wrong PINs. Please start again.",
    "expired": "This PIN has expired. Please start again.",
    "locked": "Too many wrong PINs. Please try again later.",
    "canceled": "This PIN is no longer valid. Please start again.",
    "already_approved": "This PIN has already been used. Please start again.",
    "no_pin": "The message may not have arrived. Please ask for another one.",
}
"""By the result of a check."""

REFUSALS = {
    "invalid_number": "We cannot send an SMS to this number. It must begin with + and the country code.",
    "country_not_allowed": "We cannot send an SMS to this country.",
    "opted_out": "This number has opted out of our messages. Reply START to one of them, then try again.",
    "no_sends_left": "No more messages can be sent. Use the last one, or start again in ten minutes.",
    "not_pending": "This PIN is no longer valid. Please start again.",
    "mismatch": "This PIN was requested in another browser. Please start again.",
    "not_found": "This PIN is no longer valid. Please start again.",
    "invalid_proof": "This took too long. Please start again.",
    "already_redeemed": "This PIN has already been used. Please start again.",
}
"""By the code of an error."""

OTHER = "This did not work just now. Please try again in a minute."


def of_check(check: Check) -> str:
    """Return the sentence for a check that was not approved."""
    left = check.verification.attempts_left
    if check.result != "incorrect":
        return RESULTS[check.result]
    if left == 0:
        return RESULTS["exhausted"]
    return f"{RESULTS['incorrect']} You have {left} {'try' if left == 1 else 'tries'} left."


def of_error(error: errors.Error) -> str:
    """Return the sentence for an error."""
    if isinstance(error, errors.RateLimited) and error.retry_after:
        return f"Please wait {duration(error.retry_after)}, then try again."
    if isinstance(error, errors.Invalid) and any(wrong.field == "pin" for wrong in error.errors):
        return "A PIN has six digits."
    return REFUSALS.get(error.code, OTHER)


def duration(seconds: float) -> str:
    """Return a duration in words, rounded up."""
    size, unit = next(
        ((size, unit) for size, unit in ((3600, "hour"), (60, "minute")) if seconds > 2 * size), (1, "second")
    )
    count = math.ceil(seconds / size)
    return f"{count} {unit}{'' if count == 1 else 's'}"
