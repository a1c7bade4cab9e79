"""What calls share: authentication, the id in the path, and `Idempotency-Key`."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from otp_service.errors import FieldError, Refusal, Unavailable, not_found
from otp_service.services.clients import idempotency
from otp_service.services.clients.clients import ApiKeyCache, Client
from otp_service.services.clients.idempotency import IdempotentRequest, Lost, Saved
from otp_service.services.context import Context

log = structlog.get_logger("otp_service.api")

_ID_PREFIXES = {
    "verifications": "ver",
    "notifications": "ntf",
    "webhooks": "whk",
    "factors": "fac",
    "challenges": "chl",
    "devices": "dev",
}
IDEMPOTENCY_KEY = r'"[ -~]{1,255}"|[!#-~]([ -~]{0,253}[!-~])?'
"""Quoted (RFC 9651) or bare."""
PROOF = "[A-Za-z0-9_.-]+"
DELIVERY_ID = "whd_[0-9a-f]{32}"


@dataclass(frozen=True)
class Call:
    """An authenticated request."""

    ctx: Context
    client: Client
    request: Request

    @property
    def id(self) -> str:
        """Return the id in the path. Refusal: `not_found` if it is malformed."""
        noun, public_id = self.request.scope["path"].split("/")[2:4]
        if not re.fullmatch(id_pattern(noun), public_id):
            raise not_found(noun.removesuffix("s"))
        return str(public_id)


def id_pattern(noun: str) -> str:
    """Return the pattern of the ids under `/v1/{noun}`."""
    return f"{_ID_PREFIXES[noun]}_[A-Za-z0-9_-]{{22}}"


def shown_proof(request: Request, in_body: str | None) -> str | None:
    """Return the proof of a challenge in the header `X-Proof`, else that in the body. Refusal: `invalid`."""
    headers = request.headers.getlist("x-proof")
    if len(headers) > 1 or not all(re.fullmatch(PROOF, each) for each in headers):
        wrong = FieldError("X-Proof", "Must be one header with a proof.")
        raise Refusal("invalid", "Invalid header; see `errors`.", errors=[wrong])
    return headers[0] if headers else in_body


def bearer_token(request: Request) -> str:
    """Return the token of the `Authorization: Bearer` header (RFC 6750), or ""."""
    return credentials(request, "bearer")


def credentials(request: Request, scheme: str) -> str:
    """Return what the `Authorization` header has after its scheme, "" if it is another scheme.

    Two such headers count as none: a proxy in front may have checked the other one.
    """
    headers = request.headers.getlist("authorization")
    found, _, credentials = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    return credentials.strip(" ") if found.lower() == scheme else ""


async def authenticated(request: Request) -> Call:
    """Return the call of an authenticated client. Refusal: `unauthorized`."""
    clients: ApiKeyCache = request.app.state.clients
    client = await clients.client_of(bearer_token(request))
    if client is None:
        raise Refusal("unauthorized", "No valid API key; send one as `Authorization: Bearer ...`.")
    structlog.contextvars.bind_contextvars(client=client.name)
    return Call(request.app.state.context, client, request)


async def once(
    call: Call,
    body: BaseModel | None,
    run: Callable[[IdempotentRequest | None], Awaitable[Response]],
    recover: Callable[[str], Awaitable[Response]] | None = None,
) -> Response:
    """Run a call once per `Idempotency-Key`, however often it is sent; run it if there is no key.

    `recover` answers for an earlier request that died after it had sent or queued something, by the id of that.
    """
    key = _key(call.request)
    if key is None:
        return await run(None)
    begun = await idempotency.begin(call.ctx, call.client.id, key, _canonical(call.request, body))
    if isinstance(begun, Saved):
        return Response(begun.body, begun.status, media_type="application/json")
    if isinstance(begun, Lost):
        return await (recover(begun.id) if recover else run(None))
    try:
        response = await run(begun)
    except Refusal:
        await idempotency.release(call.ctx, begun)
        raise
    try:
        await idempotency.keep(call.ctx, begun, response.status_code, bytes(response.body))
    except Unavailable:
        # The work is committed and the response is true; a repeated request recovers it.
        log.warning("answer_not_kept")
    return response


def _key(request: Request) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not re.fullmatch(IDEMPOTENCY_KEY, keys[0]):
        wrong = FieldError("Idempotency-Key", "Must be one header of 1 to 255 printable ASCII characters.")
        raise Refusal("invalid", "Invalid header; see `errors`.", errors=[wrong])
    return keys[0][1:-1] if keys[0].startswith('"') else keys[0]


def _canonical(request: Request, body: BaseModel | None) -> bytes:
    """Return the request in one form, without the PIN: a fingerprint of so few digits could be guessed."""
    fields: dict[str, Any] = body.model_dump(exclude={"pin"}, exclude_none=True) if body is not None else {}
    # A flag that is not set: the previous release may not know it, and the fingerprint must be the same.
    fields = {name: value for name, value in fields.items() if value is not False}
    # Not request.url: it contains the Host header and the query, and either can be malformed.
    return json.dumps([request.method, request.scope["path"], fields], sort_keys=True).encode()
