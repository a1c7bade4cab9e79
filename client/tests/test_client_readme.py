"""The Python of README.md runs exactly as it is printed there."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from otp_service_client import errors, webhooks
from running_service import Dev
from standardwebhooks import Webhook

README = (Path(__file__).parent.parent / "README.md").read_text()
FIRST, WEBHOOK = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_first_example_verifies_a_number(
    dev: Dev, to: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTP_SERVICE_URL", dev.url)
    monkeypatch.setenv("OTP_SERVICE_KEY", dev.key)
    code = FIRST.replace("+573001234567", to)
    names: dict[str, Any] = {"input": lambda _: dev.pin(to)}
    exec(code, names)  # noqa: S102 - the test is that it runs as printed
    names["otp"].close()
    assert capsys.readouterr().out == f"{to}\n"


def test_the_webhook_example_shows_an_event(dev: Dev, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = httpx.post(
        f"{dev.url}/v1/verifications",
        json={"to": to, "purpose": "signup"},
        headers={"Authorization": f"Bearer {dev.key}"},
    )
    now = datetime.now(UTC)
    body = json.dumps({"type": "verification.expired", "timestamp": now.isoformat(), "data": call.json()})
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(SECRET).sign("msg_1", now, body),
    }
    assert receive()(body, headers, SECRET) == 204
    assert capsys.readouterr().out == f"msg_1 {to}\n"


def receive() -> Callable[..., int]:
    """Returns the function of the webhook example."""
    names: dict[str, Any] = {}
    exec(WEBHOOK, names)  # noqa: S102
    function: Callable[..., int] = names["receive"]
    return function


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[bytes, dict[str, str]]]]]:
    """Yields the address of a server and the requests that it gets: body and headers."""
    received: list[tuple[bytes, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()
        thread.join()


def test_a_webhook_of_the_service_is_verified(dev: Dev) -> None:
    with receiver() as (url, received), httpx.Client(base_url=dev.url) as api:
        api.headers["Authorization"] = f"Bearer {dev.key}"
        webhook = api.post("/v1/webhooks", json={"url": url, "events": ["*"]}).json()
        answer = api.post(f"/v1/webhooks/{webhook['id']}/test").json()
        assert answer["delivered"], answer
        ((body, headers),) = received
        event = webhooks.verify(body, headers, webhook["secret"])
        assert (event.type, event.verification) == ("webhook.test", None)
        assert receive()(body, headers, webhook["secret"]) == 204
        assert receive()(body, headers, SECRET) == 400
        with pytest.raises(errors.InvalidSignature):
            webhooks.verify(body, headers, SECRET)
        assert api.delete(f"/v1/webhooks/{webhook['id']}").status_code == 204
