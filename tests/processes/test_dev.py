"""`otp-service dev`: what it prints works as it stands."""

import json
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from otp_service.cli.dev.welcome import SAMPLE_NUMBER
from tests.support.patience import PATIENCE
from tests.support.processes import Running, launched, run

PRODUCTION = {"OTP_OGANGI_BASE_URL": "https://gateway.invalid/mmc", "OTP_DATABASE_URL": "sqlite:///production.db"}
ANY_PORTS = ("--port", "0", "--simulator-port", "0")


def printed(dev: Running) -> tuple[str, str, list[str]]:
    """The simulator's address, the API key, and the lines for a shell."""
    dev.wait_for(lambda: "Ctrl-C stops." in dev.text())
    text = dev.text()
    vendor = re.search(r"^  SMS +(http://127\.0\.0\.1:\d+)/", text, re.MULTILINE)
    key = re.search(r"^  API key +(otp_\S+)$", text, re.MULTILINE)
    assert vendor
    assert key
    return vendor[1], key[1], re.findall(r"^  ((?:export|curl|answer=|id=|pin=).*)$", text, re.MULTILINE)


def in_a_shell(lines: list[str], shell: str = "sh") -> str:
    """What a person sees who pastes lines into a shell."""
    return subprocess.run([shell, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE).stdout


def address(lines: list[str]) -> str:
    """The API's address."""
    return lines[0].partition("=")[2]


def verified(dev: Running) -> tuple[str, str]:
    """Does what a person is told to do; the API key and the API's address."""
    vendor, key, lines = printed(dev)
    assert [line.partition("=")[0] for line in lines[:5]] == [
        "export OTP_SERVICE_URL",
        "export OTP_SERVICE_KEY",
        "answer",
        "id",
        "pin",
    ]
    for shell in filter(shutil.which, ("sh", "bash", "zsh")):
        started, checked = map(json.loads, in_a_shell(lines[:6], shell).splitlines())
        assert (started["status"], checked["result"]) == ("pending", "approved"), shell
        assert checked["verification"]["to"] == httpx.get(f"{vendor}/messages").json()[0]["to"]
        (refused,) = in_a_shell([lines[0], "OTP_SERVICE_KEY=wrong", *lines[2:6]], shell).splitlines()
        assert json.loads(refused)["code"] == "unauthorized", "and no check follows"
    assert pasted_python(dev, vendor) == "approved"
    return key, address(lines)


def pasted_python(dev: Running, vendor: str) -> str:
    """What the client says to a person who pastes the lines of Python into a shell and types the PIN."""
    (paste,) = re.findall(r"^\S.* -c '\n.*?^'$", dev.text(), re.MULTILINE | re.DOTALL)
    known = len(httpx.get(f"{vendor}/messages").json())
    shell = subprocess.Popen(["sh", "-c", paste], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with shell:
        dev.wait_for(lambda: len(httpx.get(f"{vendor}/messages").json()) > known)
        out, _ = shell.communicate(httpx.get(f"{vendor}/messages").json()[0]["pin"] + "\n", timeout=PATIENCE)
    prompt, _, result = out.rpartition(" : ")
    assert prompt == f"PIN, from {vendor}/"
    return result.strip()


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: apt install curl")


@needs_curl
def test_it_works_in_an_empty_folder_and_again_and_never_uses_production(tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in PRODUCTION.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "OTP_COUNTRIES=CO"]))
    with launched("dev", *ANY_PORTS, settings=PRODUCTION, folder=tmp_path) as dev:
        key, api = verified(dev)
        assert httpx.get(f"{api}/docs").status_code == 200
        assert dev.stop(signal.SIGINT) == 0
    (tmp_path / ".otp-dev" / "private-key").write_text("")  # as a first start leaves it that was cut off
    with launched("dev", *ANY_PORTS, settings=PRODUCTION, folder=tmp_path) as dev:
        assert printed(dev)[1] == key
        dev.wait_for(lambda: httpx.get(f"{printed(dev)[0]}/messages").json() == [])
        assert dev.stop(signal.SIGTERM) == 0
        assert "Traceback" not in dev.text()
    assert {path.name for path in tmp_path.iterdir()} == {".env", ".otp-dev"}
    kept = tmp_path / ".otp-dev"
    assert kept.stat().st_mode & 0o077 == 0
    assert all(
        (kept / name).stat().st_mode & 0o077 == 0
        for name in ("api-key", "callback-token", "private-key", "secret-keys")
    )


@pytest.mark.long
@needs_curl
def test_what_becomes_of_a_message_and_what_the_phone_texts_come_back(tmp_path: Path) -> None:
    with launched("dev", *ANY_PORTS, settings={}, folder=tmp_path) as dev:
        _, key, lines = printed(dev)
        with httpx.Client(base_url=address(lines), headers={"Authorization": f"Bearer {key}"}) as api:
            started = api.post("/v1/verifications", json={"to": SAMPLE_NUMBER, "purpose": "signup"}).json()
            read = f"/v1/verifications/{started['id']}"
            dev.wait_for(lambda: api.get(read).json()["delivery"]["status"] == "delivered")
            assert in_a_shell([lines[-1]]) == ""
            lookup, to = "/v1/opt-outs/lookup", {"to": started["to"]}
            dev.wait_for(lambda: api.post(lookup, json=to).json()["source"] == "user")


@pytest.mark.long
def test_where_the_usual_ports_are_taken_it_finds_others(tmp_path: Path) -> None:
    holders = [hold(8000), hold(8001)]
    with launched("dev", settings={}, folder=tmp_path) as dev:
        vendor, _, lines = printed(dev)
        assert not {"8000", "8001"} & {vendor.rpartition(":")[2], address(lines).rpartition(":")[2]}
        dev.wait_for(lambda: httpx.get(f"{vendor}/messages").status_code == 200)
        assert dev.stop(signal.SIGHUP) == 0
    for holder in holders:
        if holder:
            holder.close()


def hold(port: int) -> socket.socket | None:
    """Takes a port, unless somebody else has."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


@pytest.mark.long
@pytest.mark.parametrize("option", ["--port", "--simulator-port"])
def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("dev", *ANY_PORTS, option, str(port), settings={}, folder=tmp_path)
    cure = f"Stop the program that uses it, or choose another port with {option}."
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(f"error: Cannot listen on port {port} of 127.0.0.1: Address already in use. {cure}\n")


@pytest.mark.long
def test_a_folder_that_cannot_be_made_is_named() -> None:
    folder = "/dev/null/x"
    done = run("dev", "--folder", folder, settings={})
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: The folder {folder} cannot be made: ")
    assert len(done.err.splitlines()) == 1


@pytest.mark.long
def test_a_folder_belongs_to_one_process_and_other_commands_work_on_it(tmp_path: Path) -> None:
    with launched("dev", *ANY_PORTS, settings={}, folder=tmp_path) as dev:
        _, key, lines = printed(dev)
        second = run("dev", *ANY_PORTS, settings={}, folder=tmp_path)
        assert (second.code, second.out) == (1, "")
        assert "Another `otp-service dev` uses" in second.err
        assert "--folder" in second.err

        headers = {"Authorization": f"Bearer {key}"}
        body = {"to": SAMPLE_NUMBER, "purpose": "signup"}
        assert httpx.post(f"{address(lines)}/v1/verifications", json=body, headers=headers).status_code == 201
        for command in (
            ("clients", "list"),
            ("budgets", "show", SAMPLE_NUMBER),
            ("opt-outs", "show", SAMPLE_NUMBER),
            ("numbers", "renumber", "--dry-run"),
        ):
            done = run(*command, settings={}, folder=tmp_path)
            assert done.code == 0
            assert done.err.startswith("OTP_DATABASE_URL is not set: using the database of `otp-service dev`")
            assert done.out
        doctor = run("doctor", settings={}, folder=tmp_path)
        assert doctor.code == 0, doctor.out
        assert run("serve", settings={}, folder=tmp_path).code == 1, "only `dev` serves without settings"
        text = dev.text().splitlines()
        assert not [line for line in text if line and text.count(line) > 1], "no line of the log twice"


@pytest.mark.long
def test_its_limits_are_ten_times_looser_and_it_says_so(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[limits]\nsends_per_number = "1/day"\npause_per_number = 0\n')
    with launched("dev", *ANY_PORTS, settings={"OTP_CONFIG_FILE": str(policy)}, folder=tmp_path) as dev:
        _, key, lines = printed(dev)
        assert "\n  limits     10 times looser than those of `serve`\n" in dev.text()
        with httpx.Client(base_url=address(lines), headers={"Authorization": f"Bearer {key}"}) as api:
            bodies = [{"to": SAMPLE_NUMBER, "purpose": "signup", "session": str(number)} for number in range(11)]
            answers = [api.post("/v1/verifications", json=body, timeout=PATIENCE) for body in bodies]
        assert [answer.status_code for answer in answers] == [201] * 10 + [429]
        assert answers[-1].json()["limit"] == "sends_per_number"


@pytest.mark.long
def test_after_it_has_stopped_other_commands_say_what_to_start(tmp_path: Path) -> None:
    config = tmp_path / "guard.toml"
    config.write_text("")
    with launched("dev", *ANY_PORTS, settings={"OTP_CONFIG_FILE": "guard.toml"}, folder=tmp_path) as dev:
        printed(dev)
    doctor = run("doctor", settings={"OTP_ALLOW_WEAK_ARGON2": "1", "OTP_ARGON2": "m=8,t=1,p=1"}, folder=tmp_path)
    (gateway,) = [line for line in doctor.out.splitlines() if " gateway " in line]
    assert gateway == "WRONG  gateway    The simulated gateway of ./run does not run: start ./run."
    config.unlink()
    problem = f"OTP_CONFIG_FILE: {config} is not a file. The last ./run set it, and .otp-dev/settings keeps it: "
    for command in ("attack", "doctor", "budgets"):
        done = run(command, *(["show", SAMPLE_NUMBER] if command == "budgets" else []), settings={}, folder=tmp_path)
        assert done.code == 1
        said = done.out + done.err
        assert f"{problem}start ./run again, with another OTP_CONFIG_FILE or none.\n" in said, command


@pytest.mark.long
def test_a_page_of_another_site_reads_no_pin_and_posts_nothing(tmp_path: Path) -> None:
    with launched("dev", *ANY_PORTS, settings={}, folder=tmp_path) as dev:
        vendor, _, lines = printed(dev)
        for url in (f"{vendor}/messages", f"{address(lines)}/livez"):
            assert httpx.get(url).status_code == 200
            assert httpx.get(url, headers={"Host": "localhost"}).status_code == 200
            for rebound in ("evil.example", "127.0.0.1.evil.example", "evil.example:8001", "[", ""):
                assert httpx.get(url, headers={"Host": rebound}).status_code in (400, 403), rebound
        stop = {"from": SAMPLE_NUMBER, "to": "12345", "text": "STOP"}
        for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
            assert httpx.post(f"{vendor}/mo", json=stop, headers={"Origin": origin}).status_code == 403
        assert httpx.post(f"{vendor}/mo", json=stop, headers={"Origin": vendor}).status_code == 201
        assert httpx.get(address(lines)).headers["location"] == "/docs"
