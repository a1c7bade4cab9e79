"""The headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers, revisions 8 to 11)."""

import math

from otp_service.errors import Quota


def headers(quota: Quota | None) -> dict[str, str]:
    """Return both headers of a limit, or none without a limit."""
    if quota is None:
        return {}
    window = f";w={round(quota.window)}" if quota.window is not None else ""
    return {
        "RateLimit-Policy": f'"{quota.limit}";q={quota.size}{window}',
        "RateLimit": f'"{quota.limit}";r={quota.left};t={whole_seconds(quota.more_in)}',
    }


def whole_seconds(wait: float) -> int:
    """Return a wait in whole seconds, rounded up, at least 1."""
    return max(1, math.ceil(wait))
