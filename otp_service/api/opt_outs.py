"""The calls under /v1/opt-outs: their body, answers and handlers."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeAliasType

from otp_service.api.kit import bodies
from otp_service.api.kit.answers import Answer, Timestamp, answered
from otp_service.api.kit.calls import authenticated, once
from otp_service.api.kit.fields import Body, To
from otp_service.services.clients.idempotency import IdempotentRequest
from otp_service.services.opt_outs import opt_outs

OptOutSource = TypeAliasType("OptOutSource", Literal["user", "client"])


class NumberBody(Body):
    """A number."""

    to: To


class OptOutAnswer(Answer):
    """Whether a number has opted out; if not, `source` and `since` are null."""

    to: Annotated[str, Field(description="The number in E.164.", examples=["+573001234567"])]
    opted_out: Annotated[bool, Field(description="Whether no message is sent to the number.", examples=[True])]
    source: Annotated[
        OptOutSource | None,
        Field(description="`user`: by SMS; `client`: by an application; null if not opted out.", examples=["client"]),
    ]
    since: Annotated[
        Timestamp | None,
        Field(description="When it opted out; null if not opted out.", examples=["2026-11-23T15:43:24.398Z"]),
    ]


class OptOutLookupAnswer(OptOutAnswer):
    """Whether a number has opted out, and whether the gateway blocks it; null if the gateway did not answer."""

    gateway_blacklisted: Annotated[
        bool | None,
        Field(description="Whether the gateway blocks the number; null if it did not answer.", examples=[False]),
    ]


async def add(request: Request) -> Response:
    """Opt a number out of all messages, of every client."""
    call = await authenticated(request)
    body = await bodies.read(request, NumberBody)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(OptOutAnswer, await opt_outs.add(call.ctx, call.client.id, body.to, idempotent))

    return await once(call, body, run)


async def look_up(request: Request) -> Response:
    """Return whether a number has opted out, and whether the gateway itself blocks it."""
    call = await authenticated(request)
    body = await bodies.read(request, NumberBody)

    async def run(_: IdempotentRequest | None) -> Response:
        return answered(OptOutLookupAnswer, await opt_outs.look_up(call.ctx, call.client.id, body.to))

    return await once(call, body, run)


async def remove(request: Request) -> Response:
    """Remove an opt-out, unless the user texted STOP."""
    call = await authenticated(request)
    body = await bodies.read(request, NumberBody)

    async def run(idempotent: IdempotentRequest | None) -> Response:
        return answered(OptOutAnswer, await opt_outs.remove(call.ctx, call.client.id, body.to, idempotent))

    return await once(call, body, run)
