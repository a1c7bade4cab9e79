"""The simulator's routes: the wire protocol under `/mmc`, and what testers need."""

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otp_service.simulator import answers, bodies, methods
from otp_service.simulator.callbacks import Callbacks
from otp_service.simulator.faults.armed import ArmedFault, ArmedFaults
from otp_service.simulator.faults.kinds import FAULTS, Spoiled
from otp_service.simulator.store import Store
from otp_service.simulator.testers import Testers
from otp_service.simulator.wire import Account, BadParameterError, Call, find_call, is_known_with_other_verb

_API = b"/mmc/rest/api/"
_BODY_LIMIT = 64 * 1024


class Simulator:
    """One simulated Campaign Manager with one customer."""

    def __init__(self, account: Account, store: Store, faults: ArmedFaults) -> None:
        self._account = account
        self._store = store
        self._faults = faults

    async def api(self, request: Request) -> Response:
        """Answer one call of the wire protocol."""
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
        except (BadParameterError, bodies.TooLongError):
            return answers.as_xml(answers.reply(name, "ERROR"))

    def _values(self, call: Call) -> dict[str, str]:
        values = call.values()
        if values["instance"] != self._account.instance_id:
            raise BadParameterError
        return values

    async def _answer(self, request: Request, call: Call, values: dict[str, str]) -> Response:
        body = await bodies.read(request, _BODY_LIMIT)
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


def create_simulator(
    instance_id: str,
    public_key: str,
    private_key: str,
    *,
    clock: Callable[[], float] = time.time,
    kept: int = 10_000,
    deliver_after: float | None = None,
    callback_url: str | None = None,
) -> Starlette:
    """Return the simulator of one account; its base URL is `http://host:port/mmc`.

    `clock`: seconds since the epoch; `kept`: how many messages it remembers; `deliver_after`: seconds until a message
    is DELIVERED_TO_DEVICE, None if it never is by itself; `callback_url`: on loopback. Raises BadAddressError.
    """
    faults, callbacks = ArmedFaults(), Callbacks(callback_url)
    store = Store(clock, callbacks.notify, kept=kept, deliver_after=deliver_after)
    simulator = Simulator(Account(instance_id, public_key, private_key), store, faults)
    routes = Testers(store, faults, callbacks).routes()
    return Starlette(routes=[*routes, Route("/mmc/rest/api/{call:path}", simulator.api, methods=["GET", "POST"])])
