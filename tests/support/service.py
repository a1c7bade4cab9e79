"""The service in the process of the test, with a real database and the simulated gateway over real HTTP."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette

from otp_service.app import create_app
from otp_service.config.policy.policy import Policy
from otp_service.config.settings import ServiceSettings
from otp_service.services.clients import clients
from otp_service.services.context import Context
from otp_service.vault import generate_key_entry
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY, SENDER, Vendor

CHEAP_ARGON2 = "m=8,t=1,p=1"
CARRIER = "Movistar"
SECRET_KEYS = generate_key_entry()
NO_LIMITS = {"sends_per_number": "", "pause_per_number": 0, "sends_per_user_ip": ""}
AT_ONCE = {"resend_after": [0]}

_suffixes = itertools.count(1)


def new_number() -> str:
    """Returns a Colombian mobile number that no other test uses."""
    return f"+57300{next(_suffixes):07d}"


@dataclass(frozen=True)
class Api:
    """A client application that calls the service."""

    http: httpx.AsyncClient
    api_key: str

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Makes one call; header names have the form `idempotency_key`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {self.api_key}"
        return await self.http.request(method, path, json=body, headers=named)

    async def try_start(self, to: str, purpose: str = "signup", **fields: Any) -> httpx.Response:
        """Returns the response to a start."""
        return await self.call("POST", "/v1/verifications", {"to": to, "purpose": purpose, **fields})

    async def start(self, to: str | None = None, purpose: str = "signup", **fields: Any) -> dict[str, Any]:
        """Returns the verification of a start that must succeed."""
        answer = await self.try_start(to or new_number(), purpose, **fields)
        assert answer.status_code in (200, 201), answer.text
        started: dict[str, Any] = answer.json()
        return started

    async def try_check(self, verification_id: str, pin: Any, **fields: Any) -> httpx.Response:
        """Returns the response to a check."""
        return await self.call("POST", f"/v1/verifications/{verification_id}/checks", {"pin": pin, **fields})

    async def check(self, verification_id: str, pin: str, **fields: Any) -> str:
        """Returns the result of a check that must get a 200."""
        answer = await self.try_check(verification_id, pin, **fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["result"])

    async def resend(self, verification_id: str) -> httpx.Response:
        """Returns the response to a resend."""
        return await self.call("POST", f"/v1/verifications/{verification_id}/resends")

    async def cancel(self, verification_id: str) -> httpx.Response:
        """Returns the response to a cancel."""
        return await self.call("POST", f"/v1/verifications/{verification_id}/cancel")

    async def read(self, verification_id: str) -> dict[str, Any]:
        """Returns the current verification."""
        answer = await self.call("GET", f"/v1/verifications/{verification_id}")
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    async def events(self, verification_id: str) -> list[dict[str, Any]]:
        """Returns the events of a verification."""
        answer = await self.call("GET", f"/v1/verifications/{verification_id}/events")
        assert answer.status_code == 200, answer.text
        story: list[dict[str, Any]] = answer.json()["events"]
        return story


@dataclass(frozen=True)
class Service:
    """The running service. `api` is its first client."""

    app: Starlette
    settings: ServiceSettings
    vendor: Vendor
    http: httpx.AsyncClient
    api: Api

    @property
    def ctx(self) -> Context:
        """The context of the services."""
        ctx: Context = self.app.state.context
        return ctx

    def shift(self, seconds: float) -> None:
        """Moves time forward."""
        self.ctx.clock.offset += seconds

    async def client(self, name: str) -> Api:
        """Adds another client application."""
        key = await clients.create(self.ctx.database, self.ctx.clock, name)
        return Api(self.http, key.api_key)

    def pin(self, to: str) -> str:
        """Returns the PIN of the newest message to a number."""
        return str(self.vendor.messages(to)[0]["pin"])


def wrong(pin: str) -> str:
    """Returns another PIN of the same length."""
    return f"{(int(pin) + 1) % 10 ** len(pin):0{len(pin)}d}"


def make_settings(database_url: str, base_url: str, config: dict[str, Any], **more: Any) -> ServiceSettings:
    """Returns settings with the cheapest hash. `config` is the content of the policy file."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "secret_keys": SECRET_KEYS,
        "policy": Policy.model_validate(config),
        "ogangi_base_url": base_url,
        "ogangi_instance_id": INSTANCE_ID,
        "ogangi_public_key": PUBLIC_KEY,
        "ogangi_private_key": PRIVATE_KEY,
        "ogangi_sender": SENDER,
        "ogangi_carrier": CARRIER,
        "countries": "*",
        "argon2": CHEAP_ARGON2,
        "allow_weak_argon2": True,
    }
    return ServiceSettings.of(**{**values, **more})


@asynccontextmanager
async def serving(
    database_url: str, vendor: Vendor, config: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Service]:
    """Yields the service on a migrated database, with one client. `settings` override `make_settings`."""
    made = make_settings(database_url, vendor.base_url, config or {}, **settings)
    app = create_app(made, background_work=False)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 12345))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as http,
    ):
        name = f"app-{next(_suffixes)}"
        key = await clients.create(app.state.context.database, app.state.context.clock, name)
        yield Service(app, made, vendor, http, Api(http, key.api_key))
