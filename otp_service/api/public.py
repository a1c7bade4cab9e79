"""The calls without an API key: health, metrics, the description of the API."""

import hmac
import re
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from typing_extensions import TypeAliasType

from otp_service.api.events import EVENTS
from otp_service.api.kit import openapi
from otp_service.api.kit.answers import Answer
from otp_service.api.kit.calls import bearer_token
from otp_service.api.kit.operation import Operation
from otp_service.config.addresses import is_loopback
from otp_service.errors import Refusal
from otp_service.gateways.health import GatewayHealth
from otp_service.observability import metrics
from otp_service.pages import docs, docs_assets
from otp_service.services.operations import health

_FORWARDING = frozenset(
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip"]
)

Readiness = TypeAliasType("Readiness", Literal["ok", "unavailable"])
SchemaState = TypeAliasType("SchemaState", Literal["ok", "outdated", "unknown"])
GatewayStatus = TypeAliasType("GatewayStatus", Literal["ok", "trouble"])
BreakerState = TypeAliasType("BreakerState", Literal["closed", "open", "half_open"])

_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class AliveAnswer(Answer):
    """The process answers."""

    status: Annotated[Literal["ok"], Field(description="Always `ok`.")]


class GatewayState(Answer):
    """The state of the gateway as this process sees it."""

    status: Annotated[GatewayStatus, Field(description="`trouble`: an operator should look; checks still work.")]
    routes: Annotated[
        dict[str, BreakerState],
        Field(
            description="The circuit breaker of each route; `open`: nothing is sent over it for now.",
            examples=[{"pin": "closed", "sms": "closed", "mt": "closed"}],
        ),
    ]
    alarm: Annotated[
        Literal["bad_signature"] | None,
        Field(description="`bad_signature`: the gateway rejects our key, which an operator must fix; else null."),
    ]


class ReadyAnswer(Answer):
    """Whether this process can serve."""

    status: Annotated[Readiness, Field(description="`ok` if the database and its schema are.")]
    database: Annotated[Readiness, Field(description="Whether the database answers.")]
    database_schema: Annotated[
        SchemaState, Field(alias="schema", description="`outdated`: `otp-service migrate` must run.")
    ]
    gateway: Annotated[GatewayState, Field(description="Does not change the HTTP status: checks work without it.")]


class DocumentAnswer(Answer):
    """An OpenAPI document."""

    openapi: Annotated[str, Field(description="The version of OpenAPI.", examples=["3.1.0"])]
    info: Annotated[dict[str, Any], Field(description="The title and version of the API.", examples=[{}])]
    paths: Annotated[dict[str, Any], Field(description="The calls.", examples=[{}])]


async def home(_: Request) -> Response:
    """Lead a person who opens the address in a browser to the documentation."""
    return RedirectResponse("/docs")


async def livez(_: Request) -> Response:
    """Return ok while the process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Return 503 only if the database or its schema is not ready; the body also shows the state of the gateway."""
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
        "routes": found.routes(now),
        "alarm": "bad_signature" if found.bad_signature else None,
    }


async def show_metrics(request: Request) -> Response:
    """Return the Prometheus metrics to loopback, and to others with the metrics token."""
    if not _is_local(request) and not _has_token(request):
        raise Refusal("unauthorized", "Send OTP_METRICS_TOKEN as bearer token, or call from loopback.")
    ctx = request.app.state.context
    ctx.gateway_health.routes(ctx.clock.now())  # a breaker's pause ends without an event
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


def _is_local(request: Request) -> bool:
    # Behind a proxy on this machine that is not in OTP_TRUSTED_PROXIES, every caller would look local.
    if request.client is None or any(name in request.headers for name in _FORWARDING):
        return False
    return is_loopback(request.client.host)


def _has_token(request: Request) -> bool:
    expected = request.app.state.metrics_token
    return expected is not None and hmac.compare_digest(expected.encode(), bearer_token(request).encode())


async def show_openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(openapi.document(request.app.state.operations, _address(request), events=EVENTS))


async def show_docs(request: Request) -> Response:
    """Return the OpenAPI document as a page."""
    html = _page(request.app.state.operations, _address(request))
    return HTMLResponse(html, headers={"Content-Security-Policy": docs_assets.CONTENT_SECURITY_POLICY})


@lru_cache(maxsize=8)
def _page(operations: tuple[Operation, ...], server: str) -> str:
    return docs.render(openapi.document(operations, server, events=EVENTS))


def _address(request: Request) -> str:
    """Return OTP_PUBLIC_URL, or else the address that the request was sent to."""
    if request.app.state.public_url is not None:
        return str(request.app.state.public_url).rstrip("/")
    host = request.headers.get("host", "")
    return f"{request.scope['scheme']}://{host if _HOST.fullmatch(host) else '127.0.0.1:8000'}"
