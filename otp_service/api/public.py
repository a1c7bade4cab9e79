"""The calls without a key: whether the service lives, is ready, what it counts and how it is called."""

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from otp_service.api.kit import openapi
from otp_service.api.kit.calls import bearer_token
from otp_service.config.addresses import is_loopback
from otp_service.errors import Refusal
from otp_service.gateways.health import GatewayHealth
from otp_service.observability import metrics
from otp_service.pages import docs
from otp_service.services.operations import health

_FORWARDING = frozenset(
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip"]
)


async def livez(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """503 only for the database or the schema; trouble with the gateway shows in the body."""
    ctx = request.app.state.context
    found = await health.database_and_schema(ctx.database)
    ready = found["database"] == "ok" and found["schema"] == "ok"
    gateway = _gateway(ctx.gateway_health, ctx.clock.now())
    return JSONResponse(
        {"status": "ok" if ready else "unavailable", **found, "gateway": gateway}, 200 if ready else 503
    )


def _gateway(found: GatewayHealth, now: float) -> dict[str, Any]:
    return {
        "status": "trouble" if found.trouble(now) else "ok",
        "last": found.last,
        "routes": found.routes(now),
        "alarm": "bad_signature" if found.bad_signature else None,
    }


async def show_metrics(request: Request) -> Response:
    """Prometheus metrics, for loopback or with the metrics token."""
    if not _is_local(request) and not _has_token(request):
        raise Refusal("unauthorized", "Ask from loopback, or send OTP_METRICS_TOKEN as bearer token.")
    ctx = request.app.state.context
    ctx.gateway_health.routes(ctx.clock.now())  # a breaker's pause ends without anything happening
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


def _is_local(request: Request) -> bool:
    # A proxy on this machine that is not told to be trusted would make everybody local.
    if request.client is None or any(name in request.headers for name in _FORWARDING):
        return False
    return is_loopback(request.client.host)


def _has_token(request: Request) -> bool:
    expected = request.app.state.metrics_token
    return expected is not None and hmac.compare_digest(expected.encode(), bearer_token(request).encode())


async def show_openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(openapi.document(request.app.state.operations))


async def show_docs(request: Request) -> Response:
    """The OpenAPI document as a page."""
    html = docs.render(openapi.document(request.app.state.operations))
    return HTMLResponse(html, headers={"Content-Security-Policy": docs.CONTENT_SECURITY_POLICY})


async def jwks(_: Request) -> Response:
    """The keys that sign proofs (RFC 7517): none, as none is issued yet."""
    return JSONResponse({"keys": []})
