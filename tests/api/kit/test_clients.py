"""Clients that generators make of the running service's document, and the Python examples of /docs, do real work."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from otp_service.api.kit import examples
from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.servers import running
from tests.support.service import AT_ONCE, NO_LIMITS, make_settings, new_number
from tests.support.vendor import Vendor

BIN = Path(sys.executable).parent
CONFIG = {"limits": NO_LIMITS, "purposes": {"signup": AT_ONCE}}


@dataclass(frozen=True)
class Served:
    """The service on a real port, with a client's key, and the pages of the simulated gateway."""

    url: str
    key: str = field(repr=False)
    vendor: Vendor

    def run(self, *command: str | Path, folder: Path) -> None:
        """Runs a command that must succeed. It can import what lies in the folder."""
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "OTP_SERVICE_URL": self.url,
            "OTP_SERVICE_KEY": self.key,
            "SIMULATOR": self.vendor.url,
            "TO": new_number(),
        }
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def served(migrated: str, vendor: Vendor) -> Iterator[Served]:
    database = Database(migrated)
    key = asyncio.run(clients.create(database, Clock(), "generated")).api_key
    database.close()
    with running(create_app(make_settings(migrated, vendor.base_url, CONFIG), background_work=False)) as url:
        yield Served(url, key, vendor)


WITH_OPENAPI_PYTHON_CLIENT = """
import os

import httpx
from otp_api import AuthenticatedClient
from otp_api.api.verifications import verifications_cancel, verifications_check, verifications_create
from otp_api.models import CheckBody, CheckResult, ErrorCode, StartBody, VerificationStatus

otp = AuthenticatedClient(os.environ["OTP_SERVICE_URL"], os.environ["OTP_SERVICE_KEY"])
to = os.environ["TO"]

started = verifications_create.sync(client=otp, body=StartBody(purpose="signup", to=to, session="s-1"))
assert started.status is VerificationStatus.PENDING
assert started.created_at.tzinfo is not None
pin = httpx.get(os.environ["SIMULATOR"] + "/messages", params={"to": to}).json()[0]["pin"]
checked = verifications_check.sync(started.id, client=otp, body=CheckBody(pin=pin, session="s-1"))
assert checked.result is CheckResult.APPROVED
assert checked.verification.to == to
refused = verifications_cancel.sync(started.id, client=otp)
assert refused.code is ErrorCode.NOT_PENDING
"""

WITH_DATAMODEL_CODEGEN = """
import os

import httpx
from otp_models import CheckAnswer, CheckBody, CheckResult, ErrorCode, Problem, StartBody, VerificationAnswer

otp = httpx.Client(
    base_url=os.environ["OTP_SERVICE_URL"],
    headers={"Authorization": "Bearer " + os.environ["OTP_SERVICE_KEY"]},
)
to = os.environ["TO"]


def post(path, body=None):
    sent = body.model_dump(mode="json", exclude_none=True) if body else None
    return otp.post(f"/v1/verifications{path}", json=sent).content


started = VerificationAnswer.model_validate_json(post("", StartBody(purpose="signup", to=to, session="s-1")))
pin = httpx.get(os.environ["SIMULATOR"] + "/messages", params={"to": to}).json()[0]["pin"]
checked = CheckAnswer.model_validate_json(post(f"/{started.id}/checks", CheckBody(pin=pin, session="s-1")))
assert checked.result is CheckResult.approved
assert checked.verification.to == to
assert Problem.model_validate_json(post(f"/{started.id}/cancel")).code is ErrorCode.not_pending
"""


@pytest.mark.long
def test_openapi_python_client_makes_a_client_that_verifies_a_number(served: Served, tmp_path: Path) -> None:
    options = ("--meta", "none", "--output-path", "otp_api", "--fail-on-warning")
    served.run("openapi-python-client", "generate", "--url", f"{served.url}/openapi.json", *options, folder=tmp_path)
    served.run(sys.executable, "-c", WITH_OPENAPI_PYTHON_CLIENT, folder=tmp_path)


@pytest.mark.long
def test_datamodel_codegen_makes_models_that_verify_a_number(served: Served, tmp_path: Path) -> None:
    options = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel")
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{served.url}/openapi.json").content)
    served.run("datamodel-codegen", "--input", document, *options, "--output", "otp_models.py", folder=tmp_path)
    served.run(sys.executable, "-c", WITH_DATAMODEL_CODEGEN, folder=tmp_path)


def test_the_python_examples_of_the_page_work(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTP_SERVICE_KEY", served.key)
    html = httpx.get(f"{served.url}/docs").text
    start, *others = map(unescape, re.findall(r"<figcaption>Python</figcaption><pre[^>]*>(.*?)</pre>", html, re.DOTALL))
    assert len(others) == 12
    started = result_of(start)
    real = {examples.IDS["verifications"]: started.id, '"123456"': f'"{served.vendor.messages(started.to)[0]["pin"]}"'}
    for text in others:
        for example, value in real.items():
            text = text.replace(example, value)
        answer = result_of(text)
        if "verifications.check(" in text:
            assert answer.approved
            real |= {"eyJhbGciOiJFUzI1NiIs...": answer.proof, started.id: result_of(start).id}
            real[examples.IDS["verifications"]] = real[started.id]
        if "notifications.send(" in text:
            real[examples.IDS["notifications"]] = answer.id


def result_of(text: str) -> Any:
    """Runs an example."""
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - the page's own example
    names["otp"].close()
    return names["answer"]
