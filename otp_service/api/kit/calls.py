"""What calls share: who asks, and `Idempotency-Key` around what changes something."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from otp_service.api.answers import NotificationAnswer, VerificationAnswer, answered
from otp_service.errors import FieldError, Refusal, Unavailable
from otp_service.services.clients import idempotency
from otp_service.services.clients.clients import ApiKeyCache, Client
from otp_service.services.clients.idempotency import Claim, Lost, Saved
from otp_service.services.context import Context
from otp_service.services.notifications import notifications
from otp_service.services.verifications import lifecycle

log = structlog.get_logger("otp_service.api")

VERIFICATION_ID = r"ver_[A-Za-z0-9_-]{22}"
NOTIFICATION_ID = r"ntf_[A-Za-z0-9_-]{22}"
IDEMPOTENCY_KEY = r'"[ -~]{1,255}"|[!#-~]([ -~]{0,253}[!-~])?'
"""Quoted (RFC 9651) or bare."""


@dataclass(frozen=True)
class Call:
    """An authenticated request."""

    ctx: Context
    client: Client
    request: Request

    @property
    def verification_id(self) -> str:
        """The id in the path. Refusal: `not_found` where it cannot be one."""
        verification_id = str(self.request.path_params["id"])
        if not re.fullmatch(VERIFICATION_ID, verification_id):
            raise lifecycle.not_found()
        return verification_id

    @property
    def notification_id(self) -> str:
        """The same of a notification."""
        notification_id = str(self.request.path_params["id"])
        if not re.fullmatch(NOTIFICATION_ID, notification_id):
            raise notifications.not_found()
        return notification_id


def bearer_token(request: Request) -> str:
    """What stands behind `Bearer` in the Authorization header (RFC 6750); empty where nothing does.

    Of two headers a proxy in front may have checked the other one: neither counts.
    """
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


async def authenticated(request: Request) -> Call:
    """The call of a client. Refusal: `unauthorized`."""
    directory: ApiKeyCache = request.app.state.clients
    client = await directory.client_of(bearer_token(request))
    if client is None:
        raise Refusal("unauthorized", "Send a valid API key as `Authorization: Bearer ...`.")
    structlog.contextvars.bind_contextvars(client=client.name)
    return Call(request.app.state.context, client, request)


async def once(
    call: Call, body: BaseModel | None, status_if_lost: int, run: Callable[[Claim | None], Awaitable[Response]]
) -> Response:
    """Runs a call under its `Idempotency-Key`, if it has one: once, however often it is sent.

    `status_if_lost`: of the answer where the first request died after its effect.
    """
    key = _key(call.request)
    if key is None:
        return await run(None)
    claim = await idempotency.claim(call.ctx, call.client.id, key, _canonical(call.request, body))
    if isinstance(claim, Saved):
        return Response(claim.body, claim.status, media_type="application/json")
    if isinstance(claim, Lost):
        return await _left(call, claim, status_if_lost)
    try:
        response = await run(claim)
    except Refusal:
        await idempotency.release(call.ctx, claim)
        raise
    try:
        await idempotency.keep(call.ctx, claim, response.status_code, bytes(response.body))
    except Unavailable:
        # What was done is done, and the answer is true; a repetition finds it by what it left.
        log.warning("answer_not_kept")
    return response


async def _left(call: Call, lost: Lost, status: int) -> Response:
    """What a request that died left, as it is now."""
    if lost.kind == "notification":
        return answered(NotificationAnswer, await notifications.read(call.ctx, call.client.id, lost.id), status)
    return answered(VerificationAnswer, await lifecycle.read(call.ctx, call.client.id, lost.id), status)


def _key(request: Request) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not re.fullmatch(IDEMPOTENCY_KEY, keys[0]):
        wrong = FieldError("Idempotency-Key", "It should be one header of 1 to 255 printable ASCII characters.")
        raise Refusal("invalid", "A header is wrong.", errors=[wrong])
    return keys[0][1:-1] if keys[0].startswith('"') else keys[0]


def _canonical(request: Request, body: BaseModel | None) -> bytes:
    """The request in one form, without the PIN: a fingerprint of few digits could be guessed."""
    fields: dict[str, Any] = body.model_dump(exclude={"pin"}, exclude_none=True) if body is not None else {}
    # Not request.url: it is put together from the Host header and the query, and either can break it.
    return json.dumps([request.method, request.scope["path"], fields], sort_keys=True).encode()
