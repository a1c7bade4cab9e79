"""Listening sockets."""

import socket

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that its address works as soon as it is printed. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)
