"""Shared parts of the fault tests: the policy, the settings, the history, and the judgement at the end."""

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from otp_service.services.clients import idempotency
from otp_service.services.notifications import outbox
from otp_service.services.operations import retention
from otp_service.vault import Vault
from tests.faults.history import History, messages_of, read_rows
from tests.faults.people import Recorder
from tests.faults.rules import violations
from tests.support.processes import service_settings
from tests.support.service import Service, serving
from tests.support.vendor import Vendor

WITHOUT_CEILINGS = """
[limits]
sends_per_number = ""
pause_per_number = 0
sends_per_user_ip = ""
[purposes.signup]
resend_after = [0]
[purposes.by_sms]
resend_after = [0]
routes = ["sms"]
"""
CONFIG = f"""{WITHOUT_CEILINGS}
[guard.prices]
default = 0.05
[guard.ceilings]
total = "1000/day"
"""
PASSES_SECONDS = 30.0
"""A send counts as stuck, a lease as run out, a request as dead."""


def faults_settings(
    database_url: str, vendor: Vendor, folder: Path, config: str = CONFIG, **more: str
) -> dict[str, str]:
    """Returns the settings of a server with a policy file."""
    path = folder / "otp.toml"
    path.write_text(config)
    return service_settings(database_url, vendor, OTP_CONFIG_FILE=str(path), **more)


def history_of(recorder: Recorder, vendor: Vendor, database_url: str, vault: Vault, slack: float = 0.5) -> History:
    """Returns the history of one client application so far."""
    messages = messages_of(vendor.messages(), recorder.numbers)
    return History(recorder.calls, messages, read_rows(database_url, vault), slack)


@asynccontextmanager
async def afterwards(
    database_url: str, vendor: Vendor, config: str = CONFIG, **settings: str
) -> AsyncIterator[Service]:
    """Yields the service in this process, healthy, after time has passed and sends without an outcome were swept."""
    assert max(idempotency.DEAD_AFTER_SECONDS, retention.STUCK_AFTER_SECONDS) < PASSES_SECONDS
    vendor.recover()
    async with serving(database_url, vendor, tomllib.loads(config), **settings) as service:
        service.shift(PASSES_SECONDS)
        await retention.sweep(service.ctx)
        await outbox.work(service.ctx)
        yield service


def judge(recorder: Recorder, vendor: Vendor, database_url: str, vault: Vault, slack: float = 0.5) -> None:
    """Fails if the history breaks a rule."""
    found = violations(history_of(recorder, vendor, database_url, vault, slack))
    assert not found, "\n".join(found)
