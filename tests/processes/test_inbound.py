"""A running service reads the gateway's list by itself."""

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.support.processes import ok, replicas, service_settings, wait_for
from tests.support.service import new_number
from tests.support.vendor import Vendor

pytestmark = pytest.mark.long

EVERY = 1
SLACK_SECONDS = 3.0
"""Of a busy machine."""


def source_of(http: httpx.Client, number: str) -> str | None:
    """Who opted a number out."""
    found = http.post("/v1/opt-outs/lookup", json={"to": number}).raise_for_status().json()["source"]
    return None if found is None else str(found)


def status_of(http: httpx.Client, verification_id: str) -> str:
    """How a verification stands."""
    return str(http.get(f"/v1/verifications/{verification_id}").raise_for_status().json()["status"])


def test_a_text_that_only_the_list_shows_acts_within_one_interval(
    database_url: str, vendor: Vendor, tmp_path: Path
) -> None:
    config = tmp_path / "otp.toml"
    config.write_text(f"[inbound]\npoll_every = {EVERY}\n")
    settings = service_settings(database_url, vendor, OTP_CONFIG_FILE=str(config))
    key = json.loads(ok("clients", "create", "app", "--json", settings=settings))["api_key"]
    claimed_to, to, client = new_number(), new_number(), new_number()
    with (
        replicas(settings, settings) as servers,
        httpx.Client(base_url=servers[0].url, headers={"Authorization": f"Bearer {key}"}) as http,
    ):
        started = {"to": claimed_to, "purpose": "signup", "channel": "inbound"}
        claimed = http.post("/v1/verifications", json=started).raise_for_status().json()
        sent_at = time.monotonic()
        vendor.mos([(to, "Stop"), (claimed_to, claimed["inbound"]["text"])], callback=False)
        wait_for(lambda: source_of(http, to) == "user" and status_of(http, claimed["id"]) == "approved")
        assert time.monotonic() - sent_at < EVERY + SLACK_SECONDS

        http.post("/v1/opt-outs", json={"to": client}).raise_for_status()
        wait_for(lambda: [each["to"] for each in vendor.fired()] == [client])
        vendor.mo(to, "START", callback=False)
        wait_for(lambda: source_of(http, to) is None)
        assert source_of(http, client) == "client"
