"""Faults that a tester asks for: how the simulated vendor goes wrong, by name.

Nothing is delivered by `refuse`, `slow_refuse`, `bad_signature`, `http_404`, `http_429`, `http_503`, `reset_before`,
`hang`, `html`, `redirect` and `message_failed`; all others deliver the message and then spoil the answer.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from otp_service.simulator import answers
from otp_service.simulator.answers import as_xml
from otp_service.simulator.methods import Done, pin_result

_HANGS_FOR = 60.0
_DRIPS_EVERY = 0.5
_MEGABYTE = 1024 * 1024
_DEPTH = 8_000


@dataclass(frozen=True)
class Spoiled:
    """A call that meets a fault. `deliver`: does what the method does."""

    request: Request
    method: str
    deliver: Callable[[], Done]
    fail_message: Callable[[str], str]
    seconds: float

    def delivered(self) -> str:
        """Deliver the message and return the regular answer."""
        return answers.reply(self.method, "OK", self.deliver().result)

    def delivered_pin(self) -> str:
        """Deliver the message and return its PIN."""
        return self.deliver().pin or ""

    def ok(self, result: str | None) -> Response:
        """Return an answer with status OK and another result."""
        return as_xml(answers.reply(self.method, "OK", result))


async def _wait(request: Request, seconds: float) -> None:
    """Wait, but not for a caller that has disconnected."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass


async def _reset(request: Request) -> Response:
    # ASGI has no word for closing without an answer; under uvicorn the connection hangs on `receive`.
    transport = getattr(getattr(request.receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("asked for by a fault")
    transport.abort()
    await _wait(request, 1)
    return Response()


async def _refuse(call: Spoiled) -> Response:
    return as_xml(answers.reply(call.method, "ERROR"))


async def _bad_signature(call: Spoiled) -> Response:
    return as_xml(answers.reply(call.method, "BAD_SIGNATURE"))


async def _http_404(_call: Spoiled) -> Response:
    return Response("Not Found", 404)


async def _http_429(_call: Spoiled) -> Response:
    return Response("Too Many Requests", 429)


async def _http_503(_call: Spoiled) -> Response:
    return Response("Service Unavailable", 503)


async def _unknown(call: Spoiled) -> Response:
    call.delivered()
    return Response("Internal Server Error", 500)


async def _reset_before(call: Spoiled) -> Response:
    return await _reset(call.request)


async def _reset_after(call: Spoiled) -> Response:
    call.delivered()
    return await _reset(call.request)


async def _slow(call: Spoiled) -> Response:
    answer = call.delivered()
    await _wait(call.request, call.seconds)
    return as_xml(answer)


async def _slow_refuse(call: Spoiled) -> Response:
    await _wait(call.request, call.seconds)
    return await _refuse(call)


async def _hang(call: Spoiled) -> Response:
    await _wait(call.request, _HANGS_FOR)
    return Response("Gateway Timeout", 504)


async def _drip(call: Spoiled) -> Response:
    answer = call.delivered().encode()

    async def drops() -> AsyncIterator[bytes]:
        for at in range(len(answer)):
            yield answer[at : at + 1]
            await asyncio.sleep(_DRIPS_EVERY)

    return StreamingResponse(drops(), media_type="application/xml")


async def _malformed(call: Spoiled) -> Response:
    answer = call.delivered()
    return as_xml(answer[: len(answer) * 2 // 3])


async def _html(_call: Spoiled) -> Response:
    return HTMLResponse("<!DOCTYPE html><html><body><h1>Scheduled maintenance</h1></body></html>")


async def _empty(call: Spoiled) -> Response:
    call.delivered()
    return as_xml("")


async def _rootless(call: Spoiled) -> Response:
    return as_xml(answers.parts(call.method, "OK", call.deliver().result))


async def _no_pin(call: Spoiled) -> Response:
    call.delivered()
    return call.ok(None)


async def _two_pins(call: Spoiled) -> Response:
    pin = call.delivered_pin()
    return call.ok(pin_result(pin, pin[::-1]))


async def _pin_elsewhere(call: Spoiled) -> Response:
    return call.ok(answers.leaf("pin", call.delivered_pin()))


async def _short_pin(call: Spoiled) -> Response:
    return call.ok(pin_result(call.delivered_pin()[:-1]))


async def _letters_pin(call: Spoiled) -> Response:
    return call.ok(pin_result(call.delivered_pin()[:-1] + "O"))


async def _doctype(call: Spoiled) -> Response:
    return as_xml('<?xml version="1.0"?><!DOCTYPE response>' + call.delivered())


async def _entity_bomb(call: Spoiled) -> Response:
    names = "abcdefghij"
    bomb = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names))
    answer = call.delivered().replace("</description>", "&j;</description>")
    return as_xml(f'<?xml version="1.0"?><!DOCTYPE response [<!ENTITY a "aaaaaaaaaa">{bomb}]>{answer}')


async def _gzip_bomb(call: Spoiled) -> Response:
    packed = gzip.compress(call.delivered().encode() + b" " * 20 * _MEGABYTE)
    return Response(packed, media_type="application/xml", headers={"Content-Encoding": "gzip"})


async def _huge(call: Spoiled) -> Response:
    answer = call.delivered().encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield answer
        for _ in range(20):
            yield b" " * _MEGABYTE

    return StreamingResponse(chunks(), media_type="application/xml")


async def _deep(call: Spoiled) -> Response:
    return as_xml("<a>" * _DEPTH + call.delivered() + "</a>" * _DEPTH)


async def _utf16(call: Spoiled) -> Response:
    return as_xml(call.delivered().encode("utf-16"))


async def _redirect(_call: Spoiled) -> Response:
    return RedirectResponse("http://elsewhere.invalid/", 302)


async def _message_failed(call: Spoiled) -> Response:
    return call.ok(call.fail_message("NOT_ENOUGH_FUNDS"))


FAULTS: dict[str, Callable[[Spoiled], Awaitable[Response]]] = {
    "refuse": _refuse,
    "bad_signature": _bad_signature,
    "http_404": _http_404,
    "http_429": _http_429,
    "http_503": _http_503,
    "unknown": _unknown,
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "slow": _slow,
    "slow_refuse": _slow_refuse,
    "hang": _hang,
    "drip": _drip,
    "malformed": _malformed,
    "html": _html,
    "empty": _empty,
    "rootless": _rootless,
    "no_pin": _no_pin,
    "two_pins": _two_pins,
    "pin_elsewhere": _pin_elsewhere,
    "short_pin": _short_pin,
    "letters_pin": _letters_pin,
    "doctype": _doctype,
    "entity_bomb": _entity_bomb,
    "gzip_bomb": _gzip_bomb,
    "huge": _huge,
    "deep": _deep,
    "utf16": _utf16,
    "redirect": _redirect,
    "message_failed": _message_failed,
}
