"""Times in the JSON that commands print."""

from typing import Any

from otp_service.clock import rfc3339


def in_rfc3339(value: Any) -> Any:
    """Return JSON values with their times, the fields `at` and `..._at`, in RFC 3339."""
    if isinstance(value, list):
        return [in_rfc3339(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: rfc3339(each) if _is_time(name) and each is not None else in_rfc3339(each) for name, each in value.items()
    }


def _is_time(name: str) -> bool:
    return name == "at" or name.endswith("_at")
