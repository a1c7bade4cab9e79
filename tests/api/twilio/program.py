"""A program on Twilio's own library, which talks to the service over real HTTP."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from otp_service.services.clients.clients import NewKey
from tests.support.servers import running
from tests.support.service import make_settings
from tests.support.vendor import Vendor


@dataclass(frozen=True)
class Program:
    """A program, and the service that it talks to."""

    app: Starlette
    url: str
    vendor: Vendor
    key: NewKey

    def client(self, user: str | None = None, api_key: str | None = None) -> Client:
        """Returns the library's client, pointed at the service."""
        client = Client(user or self.key.id, api_key or self.key.api_key)
        client.verify.base_url = self.url
        return client

    def service(self, name: str = "signup") -> Any:
        """Returns the library's service."""
        return self.client().verify.v2.services(name)

    def start(self, to: str, **fields: Any) -> Any:
        """Starts a verification, or resends its PIN."""
        return self.service().verifications.create(to=to, channel="sms", **fields)

    def check(self, code: str, **whose: Any) -> Any:
        """Checks a PIN."""
        return self.service().verification_checks.create(code=code, **whose)

    def pin(self, to: str) -> str:
        """Returns the PIN of the newest message to a number."""
        return str(self.vendor.messages(to)[0]["pin"])

    def shift(self, seconds: float) -> None:
        """Moves time forward."""
        self.app.state.context.clock.offset += seconds

    def call(self, method: str, path: str, data: Any = None, key: str | None = None, **more: Any) -> requests.Response:
        """Makes a call without the library."""
        auth = (self.key.id, key or self.key.api_key)
        more = {"auth": auth, "timeout": 30, **more}
        return requests.request(method, f"{self.url}{path}", data=data, **more)  # noqa: S113 - it has a timeout


@contextmanager
def program_of(
    database_url: str, vendor: Vendor, config: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Program]:
    """Runs the service on a real port, with one client."""
    app = create_app(make_settings(database_url, vendor.base_url, config or {}, **settings))
    with running(app) as url:
        yield Program(app, url, vendor, asyncio.run(new_client(database_url, "shop")))


async def new_client(database_url: str, name: str) -> NewKey:
    """Adds a client application."""
    database = Database(database_url)
    try:
        return await clients.create(database, Clock(), name)
    finally:
        database.close()


@contextmanager
def refused(status: int, code: int) -> Iterator[TwilioRestException]:
    """Fails unless the library raises its exception with this status and error number."""
    with pytest.raises(TwilioRestException) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (status, code), caught.value.msg
    assert caught.value.msg
