"""A receiver of webhooks: a real HTTP server that records what is posted to it and answers as a test wants."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otp_service.api.events import as_json
from otp_service.services.webhooks import delivery
from tests.support.servers import running
from tests.support.service import Api, Service

LOOPBACK = "127.0.0.0/8"


@dataclass(frozen=True)
class Event:
    """One post: its path, headers and raw body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the event."""
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        """The name of the event."""
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        """The content of the event."""
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found

    def verify(self, secret: str) -> Any:
        """Check the signature with the official library."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """What was posted, in order. `status`: what the receiver answers."""

    url: str = ""
    status: int = 204
    events: list[Event] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        """Takes a post."""
        self.events.append(Event(request.url.path, dict(request.headers), await request.body()))
        return Response(status_code=self.status)

    @property
    def types(self) -> list[str]:
        """The names of the events, in order."""
        return [event.type for event in self.events]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Yields a receiver on a port of its own."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path:path}", receiver.take, methods=["POST"])])
    with running(app) as url:
        receiver.url = url
        yield receiver


async def add(api: Api, url: str, *events: str) -> dict[str, Any]:
    """Adds a webhook, which must be accepted."""
    answer = await api.call("POST", "/v1/webhooks", {"url": url, "events": list(events) or ["*"]})
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def deliveries(api: Api, webhook_id: str) -> list[dict[str, Any]]:
    """Returns the last deliveries, newest first."""
    answer = await api.call("GET", f"/v1/webhooks/{webhook_id}/deliveries")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


async def post_due(service: Service) -> None:
    """Posts what is due, as the background loop does."""
    await delivery.work(service.ctx, as_json)
