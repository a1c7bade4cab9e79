"""The simulator's routes: the wire protocol under `/mmc`, and what a tester reads and asks for."""

import json
import re
import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otp_service.simulator import answers, methods
from otp_service.simulator.armed import ArmedFault, ArmedFaults, BadFaultError
from otp_service.simulator.faults import FAULTS, Spoiled
from otp_service.simulator.page import messages_page
from otp_service.simulator.store import Store
from otp_service.simulator.wire import Account, BadParameterError, Call, find_call, is_known_with_other_verb

_API = b"/mmc/rest/api/"
_BODY_LIMIT = 64 * 1024


class Simulator:
    """One simulated Campaign Manager with one customer."""

    def __init__(self, account: Account, clock: Callable[[], float]) -> None:
        self._account = account
        self._store = Store(clock)
        self._faults = ArmedFaults()

    async def api(self, request: Request) -> Response:
        """One call of the wire protocol."""
        path = request.scope["raw_path"].partition(_API)[2].decode("latin-1")
        call = find_call(request.method, path)
        if call is None:
            return Response(status_code=405 if is_known_with_other_verb(path) else 404)
        name = call.method.name
        if not call.is_signed_by(self._account):
            return answers.as_xml(answers.reply(name, "BAD_SIGNATURE"))
        try:
            values = self._values(call)
            return await self._answer(request, call, values)
        except BadParameterError:
            return answers.as_xml(answers.reply(name, "ERROR"))

    def _values(self, call: Call) -> dict[str, str]:
        values = call.values()
        if values["instance"] != self._account.instance_id:
            raise BadParameterError
        return values

    async def _answer(self, request: Request, call: Call, values: dict[str, str]) -> Response:
        body = await _body(request)
        fault = self._faults.take(call.method.name)
        if fault is None:
            done = methods.act(call.method, self._store, values, body)
            return answers.as_xml(answers.reply(call.method.name, "OK", done.result))
        return await FAULTS[fault.fault](self._spoiled(request, call, values, body, fault))

    def _spoiled(self, request: Request, call: Call, values: dict[str, str], body: bytes, fault: ArmedFault) -> Spoiled:
        return Spoiled(
            request=request,
            method=call.method.name,
            deliver=lambda: methods.act(call.method, self._store, values, body),
            fail_message=lambda status: methods.failed_message(self._store, values, status),
            seconds=fault.seconds,
        )

    async def messages(self, request: Request) -> Response:
        """What was delivered, newest first."""
        to = request.query_params.get("to")
        # A bare `+` in a query is a space.
        wanted = to.strip().removeprefix("+") if to is not None else None
        return JSONResponse([message.as_json() for message in self._store.messages(wanted)])

    async def receive(self, request: Request) -> Response:
        """A message from a handset, for getMOMessages."""
        fields = await _json(request)
        if not isinstance(fields, dict) or not all(_is_text(fields.get(name)) for name in ("from", "to", "text")):
            return _unprocessable("should be an object with the texts from, to and text")
        sender, to = (re.sub(r"^\+", "", fields[name]) for name in ("from", "to"))
        carrier = fields.get("carrier", "")
        self._store.receive(sender, to, fields["text"], carrier if _is_text(carrier) else "")
        return Response(status_code=201)

    async def ask_for_fault(self, request: Request) -> Response:
        """Arms a fault."""
        try:
            return JSONResponse(self._faults.add(await _json(request)), 201)
        except BadFaultError as error:
            return _unprocessable(str(error))

    async def faults(self, _request: Request) -> Response:
        """The armed faults."""
        return JSONResponse(self._faults.as_json())

    async def clear_faults(self, _request: Request) -> Response:
        """Disarms every fault."""
        self._faults.clear()
        return Response(status_code=204)

    async def page(self, request: Request) -> Response:
        """The messages for a person."""
        refreshing = "still" not in request.query_params
        return messages_page(self._store.messages(), base_url=f"{request.base_url}mmc", refreshing=refreshing)


def create_simulator(
    instance_id: str, public_key: str, private_key: str, *, clock: Callable[[], float] = time.time
) -> Starlette:
    """The simulator of one account; its base URL is `http://host:port/mmc`. `clock`: seconds since the epoch."""
    simulator = Simulator(Account(instance_id, public_key, private_key), clock)
    return Starlette(
        routes=[
            Route("/", simulator.page),
            Route("/messages", simulator.messages),
            Route("/mo", simulator.receive, methods=["POST"]),
            Route("/faults", simulator.ask_for_fault, methods=["POST"]),
            Route("/faults", simulator.clear_faults, methods=["DELETE"]),
            Route("/faults", simulator.faults),
            Route("/mmc/rest/api/{call:path}", simulator.api, methods=["GET", "POST"]),
        ]
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise BadParameterError
    return bytes(body)


async def _json(request: Request) -> object:
    """The body as JSON; None if it is none."""
    try:
        return json.loads(await _body(request))
    except (BadParameterError, ValueError, RecursionError):
        return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _unprocessable(detail: str) -> Response:
    return JSONResponse({"error": detail}, 422)
