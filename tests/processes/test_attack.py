"""`./run attack`, which is `otp-service attack`, against a running `otp-service dev`."""

import re
import socket
from importlib import import_module
from pathlib import Path

import httpx
import pytest

from otp_service.cli.dev.attack import BOT, HONEST, Dev
from otp_service.cli.kit.running import Problems
from otp_service.config.settings import StorageSettings
from tests.support.processes import Done, here, launched, run
from tests.support.service import SECRET_KEYS
from tests.support.vendor import Vendor

ANY_PORTS = ("--port", "0", "--simulator-port", "0")


def played(folder: Path, **settings: str) -> Done:
    """Plays the attack against `dev` in a folder; no number may show."""
    with launched("dev", *ANY_PORTS, settings=settings, folder=folder) as dev:
        dev.wait_for(lambda: "Ctrl-C stops." in dev.text())
        simulator = (folder / ".otp-dev" / "simulator-url").read_text().strip()
        dev.wait_for(lambda: httpx.get(f"{simulator}/messages").status_code == 200)
        # The environment of production must not matter.
        done = run("attack", settings={"OTP_DATABASE_URL": "sqlite:///production.db"}, folder=folder)
        assert not [each["to"] for each in httpx.get(f"{simulator}/messages").json() if each["to"] in done.out]
    return done


@pytest.mark.long
def test_it_shows_what_an_attack_meets_as_dev_ships_and_enforced(tmp_path: Path) -> None:
    recorded = played(tmp_path)
    assert (recorded.code, recorded.err) == (0, "")
    assert recorded.out.count("  201  sent, approved\n") == HONEST
    assert recorded.out.count("  201  sent") == HONEST + BOT
    assert re.search(r"  201  sent; would be blocked \(prefix: block \d+ of \d+\)\n", recorded.out)
    assert "OTP_CONFIG_FILE=guard.toml ./run" in recorded.out

    assert run("guard", "reset", "--yes", settings={}, folder=tmp_path).code == 0
    (tmp_path / "guard.toml").write_text('[guard]\nmode = "enforce"\n')
    enforced = played(tmp_path, OTP_CONFIG_FILE="guard.toml")
    assert (enforced.code, enforced.err) == (0, "")
    assert enforced.out.count("  201  sent, approved\n") == HONEST
    assert re.search(r"  403  blocked \(prefix: block \d+ of \d+\)\n", enforced.out)
    assert "would be blocked" not in enforced.out
    assert "OTP_CONFIG_FILE" not in enforced.out


@pytest.mark.long
def test_a_decoy_and_a_ceiling_are_told_from_a_block(tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text(
        '[guard]\nmode = "enforce"\nanswer = "decoy"\n[guard.ceilings]\ntotal = "0.25/day"\n'
    )
    with launched("dev", *ANY_PORTS, settings={"OTP_CONFIG_FILE": "guard.toml"}, folder=tmp_path) as dev:
        dev.wait_for(lambda: "Ctrl-C stops." in dev.text())
        assert run("guard", "deny", "+573", settings={}, folder=tmp_path).code == 0
        dev.wait_for(lambda: "deny" in run("guard", "lists", settings={}, folder=tmp_path).out)
        done = run("attack", settings={}, folder=tmp_path)
        assert run("guard", "forget", "+573", settings={}, folder=tmp_path).code == 0
    assert done.code == 0
    assert done.out.count("  201  blocked, answered with a decoy (deny)\n") == HONEST + BOT
    limited = played(tmp_path, OTP_CONFIG_FILE="guard.toml")
    assert "`guard reset` gives no money back" in limited.out


NOT_RUNNING = "`otp-service dev` does not run here. Start it with ./run, then repeat ./run attack beside it."


def test_without_dev_it_says_how_to_start_it() -> None:
    done = here("attack", settings={})
    assert (done.code, done.out, done.err) == (1, "", f"error: {NOT_RUNNING}\n")


def dev_at(address: str) -> Dev:
    settings = StorageSettings.of(database_url="sqlite:///otp.db", secret_keys=SECRET_KEYS)
    return Dev(address, address, "key", settings)


def test_a_service_that_does_not_answer_is_said_not_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("otp_service.cli.dev.attack"), "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Problems, match=r"did not answer in 0\.1 s"):
        dev_at(f"http://127.0.0.1:{silent.getsockname()[1]}").require_ready()


def test_another_server_in_its_place_is_said_to_be_another(vendor: Vendor) -> None:
    with pytest.raises(Problems, match="is not `otp-service dev`"):
        dev_at(vendor.base_url.removesuffix("/mmc")).require_ready()


@pytest.mark.long
def test_after_dev_has_stopped_it_says_how_to_start_it(tmp_path: Path) -> None:
    with launched("dev", *ANY_PORTS, settings={}, folder=tmp_path) as dev:
        dev.wait_for(lambda: "Ctrl-C stops." in dev.text())
    done = run("attack", settings={}, folder=tmp_path)
    assert (done.code, done.out, done.err) == (1, "", f"error: {NOT_RUNNING}\n")
