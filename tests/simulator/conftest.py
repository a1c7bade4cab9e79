"""The simulator, and calls to it that are signed here and not by the gateway's client."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import httpx
import pytest
from defusedxml.ElementTree import fromstring
from starlette.applications import Starlette

from otp_service.simulator import create_simulator
from tests.support.vendor import INSTANCE_ID, PRIVATE_KEY, PUBLIC_KEY

NOW = 1_767_225_600.5  # 2026-01-01T00:00:00.500Z


def base64(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def signed(parameters: str) -> str:
    """The tail of a path: the parameters, the public key and the signature."""
    signature = hmac.new(PRIVATE_KEY.encode(), parameters.encode(), hashlib.sha256).hexdigest()
    return f"{parameters}/{PUBLIC_KEY}/{signature}"


@dataclass(frozen=True)
class Caller:
    """Calls the simulator."""

    http: httpx.AsyncClient

    async def get(self, path: str) -> httpx.Response:
        """A path after `/mmc/rest/api/`, as it is."""
        return await self.http.get(f"/mmc/rest/api/{path}")

    async def call(self, method: str, parameters: str, body: Any = None) -> Element:
        """A signed call; its reply."""
        path = f"/mmc/rest/api/{method}/{signed(parameters)}"
        answer = await (self.http.get(path) if body is None else self.http.post(path, json=body))
        assert answer.status_code == 200, answer.text
        root: Element = fromstring(answer.text, forbid_dtd=True)
        return root

    async def status(self, method: str, parameters: str, body: Any = None) -> str | None:
        """The status that a signed call is answered with."""
        return (await self.call(method, parameters, body)).findtext("status")

    async def messages(self, **query: str) -> list[dict[str, Any]]:
        """What was delivered."""
        found: list[dict[str, Any]] = (await self.http.get("/messages", params=query)).json()
        return found


@pytest.fixture
def app() -> Starlette:
    return create_simulator(INSTANCE_ID, PUBLIC_KEY, PRIVATE_KEY, clock=lambda: NOW)


@pytest.fixture
async def caller(app: Starlette) -> AsyncIterator[Caller]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://simulator") as http:
        yield Caller(http)
