"""Request bodies, read with a bound."""

import json

from starlette.requests import Request


class TooLongError(Exception):
    """A request body is over its limit."""


async def read(request: Request, limit: int) -> bytes:
    """Return the request body, at most `limit` bytes. Raises TooLongError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLongError
    return bytes(body)


async def read_json(request: Request, limit: int) -> object:
    """Return the request body as JSON, None if it is not JSON or over `limit` bytes."""
    try:
        return json.loads(await read(request, limit))
    except (TooLongError, ValueError, RecursionError):
        return None
