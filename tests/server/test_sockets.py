"""Listening sockets: new connections do not wait for those that are open."""

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from otp_service.server.sockets import ACCEPTS_PER_TURN, handles, listen

CALLERS = 2 * ACCEPTS_PER_TURN
TURNS = 6
"""Of the event loop: in each, hundreds of busy connections could be served."""


class Accepted(asyncio.Protocol):
    """Counts connections."""

    def __init__(self, made: list[asyncio.BaseTransport]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made.append(transport)


async def accepted_in_few_turns(sockets: list[socket.socket]) -> int:
    """How many of the callers that connect at once have been accepted."""
    loop, made, address = asyncio.get_running_loop(), list[asyncio.BaseTransport](), sockets[0].getsockname()
    servers = [await loop.create_server(lambda: Accepted(made), sock=each) for each in sockets]
    with ExitStack() as stack:
        for _ in range(CALLERS):
            stack.enter_context(socket.create_connection(address))
        for _ in range(TURNS):
            await asyncio.sleep(0)
        accepted = len(made)
        for transport in made:
            transport.close()
    for server in servers:
        server.close()
    return accepted


def test_a_few_turns_of_the_loop_accept_a_crowd() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(accepted_in_few_turns(handles(listen("127.0.0.1", 0)))) == CALLERS
