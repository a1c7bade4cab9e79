"""The Prometheus metrics. No label contains a number, a PIN or anything of a person."""

import os
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

STARTS = Counter("otp_starts", "Starts by purpose and result", ["purpose", "result"])
SENDS = Counter("otp_sends", "Sends by route and outcome", ["route", "outcome"])
CHECKS = Counter("otp_checks", "Checks by purpose and result", ["purpose", "result"])
DECOY_STARTS = Counter("otp_decoy_starts", "Starts of decoys by purpose and result", ["purpose", "result"])
DECOY_CHECKS = Counter("otp_decoy_checks", "Checks of decoys by purpose and result", ["purpose", "result"])
FACTORS = Counter("otp_factors", "What happened to factors, recovery codes and devices", ["event", "type"])
CHALLENGES = Counter(
    "otp_challenges", "Starts of challenges by purpose, factor and result", ["purpose", "factor", "result"]
)
CHALLENGE_CHECKS = Counter(
    "otp_challenge_checks", "Checks of challenges by purpose, method and result", ["purpose", "method", "result"]
)
GUARD_DECISIONS = Counter(
    "otp_guard_decisions", "Requests that a rule of the guard would block", ["rule", "mode", "country"]
)
GUARD_CEILING_SHARE = Gauge(
    "otp_guard_ceiling_share",
    "Money spent of a ceiling, the fullest of its scope",
    ["scope"],
    multiprocess_mode="livemax",
)
GUARD_EXPECTED_TAKEOVERS = Gauge(
    "otp_guard_expected_takeovers",
    "Accounts that wrong checks of the last hour are expected to have opened",
    ["client", "purpose"],
    multiprocess_mode="livemax",
)
PROOFS = Counter("otp_proofs", "Redemptions of proofs by result", ["result"])
GATEWAY_SECONDS = Histogram(
    "otp_gateway_seconds", "Duration of gateway calls", ["route"], buckets=(0.1, 0.25, 0.5, 1, 2, 4, 6, 10)
)
BREAKER_OPEN = Gauge(
    "otp_gateway_breaker_open", "1 while the circuit breaker of a route is open", ["route"], multiprocess_mode="livemax"
)
BAD_SIGNATURES = Counter("otp_gateway_bad_signatures", "Calls whose signature the gateway rejected", ["method"])
GATEWAY_READS = Counter("otp_gateway_reads", "Calls that send no message, by method and result", ["method", "result"])
NOTIFICATIONS = Counter("otp_notifications", "Notifications by result", ["result"])
RECEIPTS = Counter("otp_receipts", "Receipts by status and by how they came", ["status", "source"])
CALLBACKS = Counter("otp_callbacks", "Callbacks by what they bring: text, receipt, unreadable", ["content"])
INBOUND = Counter("otp_inbound", "Texts from people by kind and by how they came", ["kind", "source"])
WEBHOOKS = Counter("otp_webhook_posts", "Posts to webhooks by result: delivered, retried, failed, late", ["result"])
WEBHOOKS_DISABLED = Counter("otp_webhooks_disabled", "Webhooks that were disabled, by reason", ["reason"])
HASH_QUEUE = Gauge(
    "otp_hash_queue",
    "Hashes that run, wait or will be needed, without starts that wait for the gateway",
    multiprocess_mode="livesum",
)
REQUESTS = Counter("otp_http_requests", "Requests by route, method and status", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "otp_http_request_seconds", "Duration of requests", ["route"], buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10)
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render() -> bytes:
    """Return all metrics as text, summed over all workers."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    _forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of killed workers; their counters stay."""
    for file in folder.glob("gauge_live*.db"):
        if not _lives(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
