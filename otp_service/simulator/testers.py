"""What a tester reads and asks for, beside the wire protocol."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otp_service.simulator import bodies
from otp_service.simulator.callbacks import BadAddressError, Callbacks
from otp_service.simulator.faults.armed import ArmedFaults, BadFaultError
from otp_service.simulator.page import messages_page
from otp_service.simulator.store import MobileOriginated, Store

_BODY_LIMIT = 4 * 1024 * 1024
_MOST_TIMES = 1_000


class Testers:
    """The calls with which a tester controls a simulator."""

    def __init__(self, store: Store, faults: ArmedFaults, callbacks: Callbacks) -> None:
        self._store = store
        self._faults = faults
        self._callbacks = callbacks

    def routes(self) -> list[Route]:
        """Return the routes for testers."""
        return [
            Route("/", self.page),
            Route("/messages", self.messages),
            Route("/mo", self.receive, methods=["POST"]),
            Route("/fired", self.fired),
            Route("/statuses", self.set_status, methods=["POST"]),
            Route("/blacklist", self.block, methods=["POST"]),
            Route("/blacklist", self.unblock_all, methods=["DELETE"]),
            Route("/callback", self.call_back, methods=["POST"]),
            Route("/callback", self.called_back),
            Route("/notices", self.notices),
            Route("/faults", self.ask_for_fault, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/faults", self.faults),
            Route("/reset", self.reset, methods=["POST"]),
        ]

    async def messages(self, request: Request) -> Response:
        """List the delivered messages, newest first."""
        to = request.query_params.get("to")
        # A bare `+` in a query is a space.
        wanted = _digits(to.strip()) if to is not None else None
        return JSONResponse([message.as_json() for message in self._store.messages(wanted)])

    async def receive(self, request: Request) -> Response:
        """Store a message from a handset, or a list of them, oldest first."""
        asked = await bodies.read_json(request, _BODY_LIMIT)
        all_asked: list[Any] = asked if isinstance(asked, list) and asked else [asked]
        if not all(_is_mo(fields) for fields in all_asked):
            return _unprocessable("should be an object with the texts from, to and text, or a list of such")
        for fields in all_asked:
            self._receive(fields)
        return Response(status_code=201)

    def _receive(self, fields: dict[str, Any]) -> None:
        sender, to = _digits(fields["from"]), _digits(fields["to"])
        received = MobileOriginated(self._store.now(), sender, to, fields["text"], fields.get("carrier", ""))
        self._store.receive(received, listed=fields.get("listed", True), callback=fields.get("callback", True))

    async def fired(self, _request: Request) -> Response:
        """List the messages of fireMessage, newest first."""
        return JSONResponse(self._store.fired())

    async def set_status(self, request: Request) -> Response:
        """Give the newest message to a number a status."""
        fields = await bodies.read_json(request, _BODY_LIMIT)
        if not isinstance(fields, dict) or not _is_text(fields.get("to")) or not _is_text(fields.get("status")):
            return _unprocessable("should be an object with the texts to and status")
        times = fields.get("times", 1)
        if type(times) is not int or not 1 <= times <= _MOST_TIMES:
            return _unprocessable(f"times should be a whole number from 1 to {_MOST_TIMES}")
        message = self._store.newest(_digits(fields["to"]))
        if message is None:
            return JSONResponse({"error": "no message went to this number"}, 404)
        self._store.set_status(message, fields["status"], times)
        return Response(status_code=204)

    async def block(self, request: Request) -> Response:
        """Put a number on the gateway's own blacklist, or remove it."""
        fields = await bodies.read_json(request, _BODY_LIMIT)
        if not isinstance(fields, dict) or not _is_text(fields.get("number")):
            return _unprocessable("should be an object with the text number and with blocked")
        if not isinstance(fields.get("blocked"), bool):
            return _unprocessable("blocked should be true or false")
        change = self._store.blacklist.add if fields["blocked"] else self._store.blacklist.discard
        change(_digits(fields["number"]))
        return Response(status_code=204)

    async def unblock_all(self, _request: Request) -> Response:
        """Remove every number from the blacklist."""
        self._store.blacklist.clear()
        return Response(status_code=204)

    async def call_back(self, request: Request) -> Response:
        """Set the address of callbacks."""
        fields = await bodies.read_json(request, _BODY_LIMIT)
        if not isinstance(fields, dict) or set(fields) != {"url"}:
            return _unprocessable("should be an object with url and nothing else")
        try:
            self._callbacks.call(fields["url"])
        except BadAddressError as error:
            return _unprocessable(f"url {error}")
        return Response(status_code=204)

    async def called_back(self, _request: Request) -> Response:
        """Return how the callbacks went."""
        return JSONResponse(self._callbacks.as_json())

    async def notices(self, _request: Request) -> Response:
        """List the callbacks, newest first, posted or not."""
        return JSONResponse(self._callbacks.notices())

    async def ask_for_fault(self, request: Request) -> Response:
        """Arm a fault."""
        try:
            return JSONResponse(self._faults.add(await bodies.read_json(request, _BODY_LIMIT)), 201)
        except BadFaultError as error:
            return _unprocessable(str(error))

    async def faults(self, _request: Request) -> Response:
        """List the armed faults."""
        return JSONResponse(self._faults.as_json())

    async def clear_faults(self, _request: Request) -> Response:
        """Disarm every fault."""
        self._faults.clear()
        return Response(status_code=204)

    async def reset(self, _request: Request) -> Response:
        """Drop faults, callbacks, messages from handsets and blocked numbers; keep the delivered messages."""
        self._faults.clear()
        self._callbacks.call(None)
        self._store.forget_handsets()
        return Response(status_code=204)

    async def page(self, request: Request) -> Response:
        """Return the page for a person."""
        return messages_page(
            self._store.messages(),
            self._store.from_handsets(),
            url=str(request.base_url),
            refreshing="still" not in request.query_params,
        )


def _is_mo(fields: Any) -> bool:
    return (
        isinstance(fields, dict)
        and all(_is_text(fields.get(name)) for name in ("from", "to", "text"))
        and all(isinstance(fields.get(name, True), bool) for name in ("listed", "callback"))
        and isinstance(fields.get("carrier", ""), str)
    )


def _is_text(value: object) -> bool:
    """Return whether the value is text, not empty and without a lone surrogate."""
    return isinstance(value, str) and value != "" and not re.search("[\ud800-\udfff]", value)


def _digits(number: str) -> str:
    return number.removeprefix("+")


def _unprocessable(detail: str) -> Response:
    return JSONResponse({"error": detail}, 422)
