"""Listening sockets."""

import socket

BACKLOG = 2048
ACCEPTS_PER_TURN = 32


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that its address works as soon as it is printed. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def handles(listener: socket.socket) -> list[socket.socket]:
    """Return a listening socket with copies of itself, for one event loop.

    uvloop accepts one connection of each in a turn of the loop. In a turn, every connection that is open can have a
    request answered, so with a single socket a few hundred busy connections would keep new ones waiting for seconds.
    """
    return [listener, *(listener.dup() for _ in range(ACCEPTS_PER_TURN - 1))]
