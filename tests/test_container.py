"""The image and the compose file: what hardens them stays in them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from otp_service.config.settings import ServiceSettings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRET_SETTINGS = {"OTP_DATABASE_URL", "OTP_SECRET_KEYS", "OTP_OGANGI_PUBLIC_KEY", "OTP_OGANGI_PRIVATE_KEY"}


def needed_settings() -> set[str]:
    return {f"OTP_{name.upper()}" for name, field in ServiceSettings.model_fields.items() if field.is_required()}


def given_settings(service: str) -> dict[str, str]:
    environment = SERVICES[service]["environment"]
    return {name: value for name, value in environment.items() if name.startswith("OTP_")}


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_the_image_runs_unprivileged() -> None:
    final = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*/livez", final, re.MULTILINE)
    assert "apt-get" not in final


def test_the_image_tunes_the_allocator_as_run_does() -> None:
    tunables = re.findall(
        r"(?:GLIBC_TUNABLES|tuned)=(glibc\S+)$",
        (ROOT / "Dockerfile").read_text() + (ROOT / "run").read_text(),
        re.MULTILINE,
    )
    assert len(tunables) == 2
    assert tunables[0] == tunables[1]


def test_every_package_of_the_image_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for line in text.splitlines():
        if "/pip " in line and (" install " in line or " wheel " in line):
            assert "--require-hashes" in line or "--no-index" in line, line


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_is_hardened_and_bounded(service: str) -> None:
    keys = SERVICES[service]
    assert keys["read_only"] is True
    assert keys["cap_drop"] == ["ALL"]
    assert "cap_add" not in keys
    assert keys["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= keys.keys()
    assert any(mount.startswith("/tmp:") for mount in keys["tmpfs"])  # noqa: S108 - the container's


@pytest.mark.parametrize("service", ["api", "migrate"])
def test_what_holds_secrets_dumps_no_core(service: str) -> None:
    assert SERVICES[service]["ulimits"] == {"core": 0}


def test_the_api_is_reached_from_this_machine_alone() -> None:
    assert SERVICES["api"]["ports"] == ["127.0.0.1:8000:8000"]
    assert all("ports" not in SERVICES[service] for service in ("migrate", "postgres"))
    assert COMPOSE["networks"]["database"]["internal"] is True


def test_the_api_waits_for_the_schema() -> None:
    assert SERVICES["api"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["command"] == ["migrate"]


def test_the_api_is_given_every_setting_that_it_needs_and_no_unknown_one() -> None:
    given = {name.removesuffix("_FILE") for name in given_settings("api")}
    known = {f"OTP_{name.upper()}" for name in ServiceSettings.model_fields}
    assert needed_settings() <= given <= known


def test_secrets_come_as_files_and_have_no_default() -> None:
    for service in ("api", "migrate"):
        for name, value in given_settings(service).items():
            if name.removesuffix("_FILE") in SECRET_SETTINGS:
                assert value.removeprefix("/run/secrets/") in SERVICES[service]["secrets"]
            else:
                assert re.fullmatch(r"\$\{OTP_[A-Z_]+(:\?.*|:-)\}", value)
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("${OTP_SECRETS_DIR")
