"""The gateway calls a real server back: what it tells is shown within moments."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.api_keys import new_key
from tests.support.processes import service_settings, serving
from tests.support.service import Api
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

TOKEN = "a-callback-token-of-tests"


async def test_a_receipt_is_shown_as_soon_as_the_gateway_tells_it(database_url: str, vendor: Vendor) -> None:
    key = await new_key(database_url, "app")
    with serving(service_settings(database_url, vendor, OTP_OGANGI_CALLBACK_TOKEN=TOKEN)) as server:
        vendor.call_back(f"http://127.0.0.1:{urlsplit(server.url).port}/gateway/ogangi/{TOKEN}")
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            api = Api(http, key)
            started = await api.start()
            assert started["delivery"]["status"] == "sent"
            vendor.set_status(started["to"], "DELIVERED_TO_DEVICE", times=3)
            async with asyncio.timeout(5):  # half of what it takes until somebody asks
                while (await api.read(started["id"]))["delivery"]["status"] != "delivered":
                    pass
            noted = [event for event in await api.events(started["id"]) if event["type"] == "receipt"]
            assert [(event["route"], event["result"]) for event in noted] == [("pin", "delivered")]
            assert await api.check(started["id"], vendor.messages(started["to"])[0]["pin"]) == "approved"
        called = await vendor.called_back(3)
        assert (called["sent"], called["failed"]) == (3, 0)
        assert TOKEN not in server.text()
