"""`otp-service simulator`."""

import re
import signal

import httpx
import pytest

from otp_service.gateways.base import Message, Outcome
from otp_service.gateways.ogangi.caller import Account
from otp_service.gateways.ogangi.client import OgangiGateway
from tests.support.patience import PATIENCE
from tests.support.processes import launched
from tests.support.servers import free_port, responds
from tests.support.vendor import SENDER

SETTINGS = {"OTP_OGANGI_PRIVATE_KEY": "own-private-key"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({}, signal.SIGTERM),
        (SETTINGS, signal.SIGINT),
        ({}, signal.SIGHUP),
    ],
)
async def test_it_takes_what_the_printed_settings_sign(settings: dict[str, str], how: signal.Signals) -> None:
    port = free_port()
    with launched("simulator", "--port", str(port), settings=settings) as simulator:
        simulator.wait_for(lambda: responds(f"http://127.0.0.1:{port}/messages"))
        printed = dict(re.findall(r"OTP_OGANGI_(\w+)=(\S+)", simulator.text()))
        assert ("PRIVATE_KEY" in printed) is (not settings)
        account = Account(
            base_url=printed["BASE_URL"],
            instance_id=printed.get("INSTANCE_ID", "43"),
            public_key=printed.get("PUBLIC_KEY", "4BFB-4943-9546-9BB8964254F2"),
            private_key=printed.get("PRIVATE_KEY", "own-private-key"),
            sender=SENDER,
        )
        gateway = OgangiGateway(account, padding=False, pin_placeholder="{0}")
        sent = await gateway.send_pin(Message("+573001234567", "PIN {0}", "Movistar"), 6, PATIENCE)
        await gateway.aclose()
        assert sent.outcome is Outcome.ACCEPTED
        async with httpx.AsyncClient() as http:
            (message,) = (await http.get(f"http://127.0.0.1:{port}/messages")).json()
        assert message["pin"] == sent.pin
        await a_page_of_another_site_gets_nothing(f"http://127.0.0.1:{port}")
        assert simulator.stop(how) == 0


async def a_page_of_another_site_gets_nothing(url: str) -> None:
    """Neither one whose name was made to resolve to this machine, nor one that posts here."""
    stop = {"from": "+573001234567", "to": SENDER, "text": "STOP"}
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        assert (await http.get("/messages", headers={"Host": "evil.example"})).status_code == 403
        assert (await http.post("/mo", json=stop, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.post("/mo", json=stop, headers={"Origin": url})).status_code == 201
