"""Test numbers: nothing is sent to them, and their PIN is fixed by the policy until a date."""

from otp_service import phone
from otp_service.config.policy.policy import Purpose
from otp_service.config.policy.test_numbers import TestNumber
from otp_service.errors import FieldError, invalid_fields
from otp_service.services.context import Context

TEST_ROUTE = "test"
"""The route of a message to a test number, over which nothing is sent."""
REASON = "test_number"
"""The `detail` of such a message."""


def find(ctx: Context, e164: str) -> TestNumber | None:
    """Return the entry of a number that is a test number now.

    A call asks once and passes the answer on: a moment later the number may be an ordinary one.
    """
    entry = ctx.policy.test_numbers.get(e164)
    return entry if entry is not None and entry.is_active(ctx.clock.now()) else None


def e164(ctx: Context, to: str) -> str:
    """Return a number as it is kept; a test number need not be one of its country's plan. Refusal: `invalid_number`."""
    return to if find(ctx, to) is not None else phone.parse(to).e164


def check_length(entry: TestNumber, purpose: Purpose) -> None:
    """Raise Refusal `invalid` unless the PIN of a test number is as long as the PINs of the purpose."""
    if len(entry.pin) != purpose.pin_length:
        detail = f"The PIN of this test number has {len(entry.pin)} digits; {purpose.name} needs {purpose.pin_length}."
        raise invalid_fields(FieldError("to", detail))
