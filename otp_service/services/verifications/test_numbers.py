"""Test numbers: nothing is sent to them, and their PIN is fixed by the policy until a date."""

from otp_service import phone
from otp_service.config.policy import Purpose
from otp_service.config.test_numbers import TestNumber
from otp_service.errors import FieldError, invalid_fields
from otp_service.services.context import Context


def find(ctx: Context, e164: str) -> TestNumber | None:
    """Return the entry of a number that is a test number now."""
    entry = ctx.policy.test_numbers.get(e164)
    return entry if entry is not None and entry.is_active(ctx.clock.now()) else None


def e164(ctx: Context, to: str) -> str:
    """Return a number as it is kept; a test number need not be one of its country's plan. Refusal: `invalid_number`."""
    return to if find(ctx, to) is not None else phone.parse(to).e164


def pin_of(ctx: Context, e164: str | None, purpose: Purpose) -> str | None:
    """Return the PIN of a test number, None for any other. Refusal: `invalid` if the purpose's PINs are longer."""
    entry = find(ctx, e164) if e164 is not None else None
    if entry is None:
        return None
    if len(entry.pin) != purpose.pin_length:
        detail = f"The PIN of this test number has {len(entry.pin)} digits; {purpose.name} needs {purpose.pin_length}."
        raise invalid_fields(FieldError("to", detail))
    return entry.pin
