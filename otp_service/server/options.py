"""uvicorn's options for the service."""

from typing import Any

from otp_service.config.settings import ServiceSettings
from otp_service.server.protocol import Connection
from otp_service.server.sockets import BACKLOG

GRACEFUL_SECONDS = 15
"""Longer than a start may take, so that requests in flight end."""
WORKER_START_SECONDS = 20
"""A worker answers its parent only once it has imported everything, which takes long on a busy machine. A parent that
waits for a worker that died meanwhile neither replaces the others nor notices a stop."""


def server_options(settings: ServiceSettings) -> dict[str, Any]:
    """Return the options that differ from uvicorn's defaults, which trust headers and log query strings."""
    return {
        "loop": "uvloop",
        "http": Connection,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": [str(network) for network in settings.trusted_proxies],
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": GRACEFUL_SECONDS,
        "timeout_worker_healthcheck": WORKER_START_SECONDS,
        "backlog": BACKLOG,
    }
