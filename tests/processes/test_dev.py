"""`otp-service dev`: what it prints works as it stands."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import Running, launched, run

PRODUCTION = {"OTP_OGANGI_BASE_URL": "https://gateway.invalid/mmc", "OTP_DATABASE_URL": "sqlite:///production.db"}
ANY_PORTS = ("--port", "0", "--simulator-port", "0")


def curl(line: str) -> dict[str, Any]:
    """The JSON answer to a printed line, by curl itself where it is installed; without a body nothing."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-s"]
    if shutil.which("curl"):
        answered = subprocess.run(words, capture_output=True, text=True, timeout=30).stdout
    else:
        headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
        answered = httpx.post(words[2], headers=headers, content=words[words.index("-d") + 1]).text
    answer: dict[str, Any] = json.loads(answered or "{}")
    return answer


def printed(dev: Running) -> tuple[str, str, list[str]]:
    """The simulator's address, the API key, and the curl lines."""
    dev.wait_for(lambda: "Ctrl-C stops." in dev.text())
    text = dev.text()
    vendor = re.search(r"^  SMS +(http://127\.0\.0\.1:\d+)/", text, re.MULTILINE)
    key = re.search(r"^  API key +(otp_\S+)$", text, re.MULTILINE)
    assert vendor
    assert key
    return vendor[1], key[1], re.findall(r"^ *(curl .*)$", text, re.MULTILINE)


def verified(dev: Running) -> tuple[str, str]:
    """Does what a person is told to do; the API key and the API's address."""
    vendor, key, lines = printed(dev)
    start, check, _ = lines
    started = curl(start)
    (message,) = httpx.get(f"{vendor}/messages").json()
    answer = curl(check.replace("/ID/", f"/{started['id']}/").replace('"PIN"', f'"{message["pin"]}"'))
    assert answer["result"] == "approved", answer
    assert answer["verification"]["to"] == message["to"]
    return key, shlex.split(start)[2].partition("/v1/")[0]


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


def test_what_becomes_of_a_message_and_what_the_phone_texts_come_back(tmp_path: Path) -> None:
    with launched("dev", *ANY_PORTS, settings={}, folder=tmp_path) as dev:
        _, key, (start, _, stop) = printed(dev)
        url = shlex.split(start)[2]
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as api:
            started = curl(start)
            read = f"{url}/{started['id']}"
            dev.wait_for(lambda: api.get(read).json()["delivery"]["status"] == "delivered")
            assert curl(stop) == {}
            lookup, to = url.replace("verifications", "opt-outs/lookup"), {"to": started["to"]}
            dev.wait_for(lambda: api.post(lookup, json=to).json()["source"] == "user")


def test_where_the_usual_ports_are_taken_it_finds_others(tmp_path: Path) -> None:
    holders = [hold(8000), hold(8001)]
    with launched("dev", settings={}, folder=tmp_path) as dev:
        vendor, _, lines = printed(dev)
        assert not {"8000", "8001"} & {vendor.rpartition(":")[2], *re.findall(r":(\d+)/v1/", "".join(lines))}
        dev.wait_for(lambda: httpx.get(f"{vendor}/messages").status_code == 200)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            named = run("dev", "--port", port, settings={}, folder=tmp_path)
        assert dev.stop(signal.SIGHUP) == 0
    for holder in holders:
        if holder:
            holder.close()
    assert (named.code, named.out) == (1, "")
    assert named.err == f"error: Port {port} of 127.0.0.1 cannot be listened on: Address already in use.\n"


def hold(port: int) -> socket.socket | None:
    """Takes a port, unless somebody else has."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def test_a_folder_that_cannot_be_made_is_named() -> None:
    folder = "/dev/null/x"
    done = run("dev", "--folder", folder, settings={})
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: The folder {folder} cannot be made: ")
    assert len(done.err.splitlines()) == 1
