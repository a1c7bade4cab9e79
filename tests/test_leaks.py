"""No PIN, key, text, full number or secret of a second factor in any answer, log line, metric or file."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyotp
import pytest
import sqlalchemy as sa

from otp_service import texts
from otp_service.hashing.queue import Kind, Ticket
from otp_service.observability import logs
from otp_service.services.factors import devices, recovery_codes, totp
from otp_service.services.operations import retention
from otp_service.storage import tables
from otp_service.vault import generate_key_entry
from tests.support.every_factor_call import Secrets, User, use_every_call
from tests.support.receivers import LOOPBACK, add
from tests.support.service import AT_ONCE, NO_LIMITS, SECRET_KEYS, Api, Service, new_number, serving, wrong
from tests.support.vendor import PRIVATE_KEY, Vendor

TICKET = Ticket(Kind.CHECK, "a")
FAULTS = ["refuse", "bad_signature", "http_404", "unknown", "reset_after", "malformed", "html", "hang"]


def forms(secret: str) -> Iterator[bytes]:
    """A secret plain, in hex, and in both Base64 alphabets at all three alignments."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        # Only whole quanta: the first and the last mix with what stands around.
        core = encoded[4 if lead else 0 : len(encoded) // 4 * 4 - 4]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def assert_absent(secrets: list[str], where: dict[str, bytes]) -> None:
    for number, secret in enumerate(secrets):
        for form in forms(secret):
            for name, content in where.items():
                assert len(form) < 5 or form not in content, f"secret {number} stands in {name}"


@pytest.fixture
def output(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capfd  # a test configures the log itself: the captured standard output is another one in its call
    logs.configure("error", "json")


async def everything(service: Service, answers: list[bytes]) -> tuple[list[str], list[str]]:
    """Every kind of send, check and error; (PINs, numbers) that were in use."""
    vendor, numbers = service.vendor, []

    async def note(call: Any) -> Any:
        answer = await call
        answers.append(answer.content + str(answer.headers).encode())
        return answer.json()

    for fault in [None, *FAULTS]:
        for route in ("pin", "sms"):
            if fault:
                vendor.fail(route, fault)
            to = new_number()
            numbers.append(to)
            await note(service.api.try_start(to, purpose="signup" if route == "pin" else "login"))
            vendor.recover()
    for number in numbers[:2]:
        body = {"to": number, "purpose": "signup", "session": "x"}
        key = "key-of-" + number[-3:]
        service.shift(31)
        started = await note(service.api.call("POST", "/v1/verifications", body, idempotency_key=key))
        pin = service.pin(number)
        for submitted in (wrong(pin), pin, [pin], {"pin": pin}, float(pin), f"{pin}\0"):
            await note(service.api.try_check(started["id"], submitted, session="x"))
        await note(service.api.call("POST", f"/v1/verifications/{started['id']}/checks", {pin: 1}))
        await note(service.api.call("GET", f"/v1/verifications/{started['id']}/events"))
    await _as_twilio(service, numbers[2], note)
    answers.append((await service.http.get("/metrics")).content)
    pins = [message["pin"] for number in numbers for message in vendor.messages(number) if message["pin"]]
    return pins, numbers


async def _as_twilio(service: Service, to: str, note: Any) -> None:
    client = await service.app.state.clients.client_of(service.api.api_key)
    auth = (client.id, service.api.api_key)
    path = "/v2/Services/signup/"
    await note(service.http.post(f"{path}Verifications", data={"To": to, "Channel": "sms"}, auth=auth))
    pin = service.pin(to)
    for code in (wrong(pin), f"{pin}\0", f"{pin}x", pin, pin):
        await note(service.http.post(f"{path}VerificationCheck", data={"To": to, "Code": code}, auth=auth))
    await note(service.http.post(f"{path}VerificationCheck", data={"To": to, pin: pin}, auth=auth))


async def dump(service: Service) -> bytes:
    """Every row of every table."""

    def rows(tx: sa.Connection) -> list[Any]:
        return [row for table in tables.metadata.sorted_tables for row in tx.execute(table.select()).all()]

    return repr(await service.ctx.database.read(rows)).encode()


async def test_nothing_leaks_through_any_error(
    database_url: str, vendor: Vendor, output: pytest.CaptureFixture[str]
) -> None:
    config = {"limits": NO_LIMITS, "purposes": {"login": {"routes": ["sms"]}, "signup": AT_ONCE}}
    answers: list[bytes] = []
    logs.configure("debug", "json")
    async with serving(database_url, vendor, config, ogangi_timeout=0.5) as service:
        pins, numbers = await everything(service, answers)
        database = await dump(service)
        path = database_url.removeprefix("sqlite:///")
        files = {file.name: file.read_bytes() for file in Path(path).parent.glob("otp.db*") if path != database_url}
        key = service.api.api_key
    out, err = output.readouterr()
    assert '"send"' in out, "the log was really on"
    written = {"log": out.encode(), "stderr": err.encode(), "database": database, **files}
    everywhere = {**written, "answers": b"\n".join(answers)}
    texts = [f"do not share it): {pin}" for pin in pins]
    # A bare PIN of six digits stands in ids and times by chance; what a leak would look like is quoted or spaced.
    quoted = [form for pin in pins for form in (f'"{pin}"', f"'{pin}'", f" {pin} ", f"={pin}", f"/{pin}")]
    assert_absent([*texts, PRIVATE_KEY, key, SECRET_KEYS.partition(":")[2]], everywhere)
    for content in everywhere.values():
        assert not any(form.encode() in content for form in quoted)
    assert_absent(numbers + [number[1:] for number in numbers], written)
    assert "/rest/api/" not in out + err


def of_factors(secrets: Secrets) -> list[str]:
    """The secrets of a user as they are shown, recovery codes also as they are compared."""
    compared = [code.replace("-", "") for code in secrets.codes]
    return [*secrets.totp, *secrets.codes, *compared, *secrets.devices, *secrets.proofs]


def raw_forms(base32: str) -> list[bytes]:
    """The bytes of a TOTP secret, as a database could hold them."""
    raw = base64.b32decode(base32)
    return [raw, raw.hex().encode(), base64.b64encode(raw)[:-4], base64.urlsafe_b64encode(raw)[:-4]]


async def test_nothing_of_second_factors_is_written_or_shown_twice(
    database_url: str, vendor: Vendor, output: pytest.CaptureFixture[str]
) -> None:
    config = {"limits": NO_LIMITS}
    later: list[bytes] = []  # answers to calls that make no secret

    def note(answer: httpx.Response) -> None:
        if answer.status_code not in (200, 201) or answer.request.method == "GET":
            later.append(answer.content + str(answer.headers).encode())

    logs.configure("debug", "json")
    async with serving(database_url, vendor, config, webhook_networks=LOOPBACK) as service:
        await add(service.api, "http://127.0.0.1:9009/")  # its events keep what clients see of factors
        user = User(service, "ana-of-accounts", note)
        await use_every_call(user)
        metrics = (await service.http.get("/metrics")).content
        await retention.sweep(service.ctx)
        database, path = await dump(service), database_url.removeprefix("sqlite:///")
        files = {file.name: file.read_bytes() for file in Path(path).parent.glob("otp.db*") if path != database_url}
    out, err = output.readouterr()
    assert '"challenge"' in out, "the log was really on"
    written = {"log": out.encode(), "stderr": err.encode(), "database": database, **files}
    secrets = user.secrets
    assert all((secrets.totp, secrets.codes, secrets.devices, secrets.proofs, secrets.pins, secrets.numbers))
    assert_absent(of_factors(secrets), {**written, "later answers": b"\n".join(later), "metrics": metrics})
    assert_absent([user.subject], {"log": out.encode(), "stderr": err.encode(), "metrics": metrics})
    assert_absent(secrets.numbers + [number[1:] for number in secrets.numbers], written)
    for content in (*written.values(), *later):
        assert not any(form in content for secret in secrets.totp for form in raw_forms(secret))
        assert not any(f'"{pin}"'.encode() in content or f"'{pin}'".encode() in content for pin in secrets.pins)


async def test_without_the_secret_keys_the_database_gives_nothing_of_second_factors(
    database_url: str, vendor: Vendor
) -> None:
    config = {"limits": NO_LIMITS}
    async with serving(database_url, vendor, config) as service:
        user = User(service, "ana")
        app = await use_every_call(user)
        database, key = await dump(service), service.api.api_key
        service.shift(3600)
    for secret in of_factors(user.secrets):
        for known in (secret, f"ana{secret}", f"device {secret}"):
            for algorithm in ("md5", "sha1", "sha256", "sha512", "blake2b"):
                digest = hashlib.new(algorithm, known.encode())
                assert digest.hexdigest().encode() not in database, "a hash without a key can be guessed"
                assert base64.b64encode(digest.digest())[:-4] not in database
    async with serving(database_url, vendor, config, secret_keys=generate_key_entry()) as service:
        service.shift(7200)
        thief = User(replace(service, api=Api(service.http, key)), "ana")
        challenge = await thief.start(device=user.secrets.devices[-1])
        assert challenge["status"] == "pending"
        await thief.check(challenge, thief.shown(app), "incorrect")
        await thief.check(challenge, user.secrets.codes[-2], "incorrect")


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (totp, "step_of"),
        pytest.param(totp, "uri", marks=pytest.mark.long),
        pytest.param(recovery_codes, "clean_code", marks=pytest.mark.long),
        (recovery_codes, "use"),
        (devices, "use"),
    ],
)
async def test_a_crash_with_a_secret_of_a_factor_leaks_nothing(
    database_url: str,
    vendor: Vendor,
    output: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
) -> None:
    logs.configure("debug", "json")
    answers: list[str] = []
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        user = User(service, "ana")
        app = await use_every_call(user)
        service.shift(3600)
        secrets, shown = of_factors(user.secrets), user.shown(app)

        def crash(*values: Any, **named: Any) -> Any:
            raise RuntimeError(f"{values} {named} {shown} {' '.join(secrets)}")

        typed_in = {(await user.start(session=pin))["id"]: pin for pin in (shown, user.secrets.codes[-2])}
        monkeypatch.setattr(module, name, crash)
        calls = [(f"/v1/challenges/{each}/checks", {"pin": pin, "session": pin}) for each, pin in typed_in.items()]
        calls += [("/v1/challenges", {"subject": "ana", "session": "s", "device": user.secrets.devices[-1]})]
        calls += [("/v1/factors", {"subject": "bob", "type": "totp"})]
        for path, body in calls:
            answer = await service.api.call("POST", path, body)
            answers += [answer.text] if answer.status_code == 500 else []
    out, err = output.readouterr()
    assert answers
    assert "RuntimeError" in out
    assert_absent(secrets, {"log": out.encode(), "stderr": err.encode(), "answers": "".join(answers).encode()})
    for content in (out, err, *answers):
        assert f"'{shown}'" not in content
        assert f" {shown}" not in content


async def test_a_crash_in_the_middle_leaks_nothing(
    database_url: str, vendor: Vendor, output: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("debug", "json")
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        started = await service.api.start()
        pin = service.pin(started["to"])

        def crash(*values: Any, **named: Any) -> Any:
            raise RuntimeError(f"{values} {named} {pin} {started['to']}")

        monkeypatch.setattr(service.ctx.hasher, "matches", crash)
        broken = await service.api.try_check(started["id"], pin)
        monkeypatch.setattr(texts, "render", crash)
        broken_start = await service.api.try_start(new_number())
        story = str(await service.api.events(started["id"]))
    for answer in (broken, broken_start):
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    out, err = output.readouterr()
    assert "RuntimeError" in out
    for content in (out, err, broken.text, broken_start.text, story):
        assert f"'{pin}'" not in content
        assert f" {pin}" not in content
        assert started["to"] not in content


async def test_the_secrets_of_second_factors_stand_nowhere(
    database_url: str, vendor: Vendor, output: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", "json")
    subject, post = "a user of a name", "POST"
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        call = service.api.call
        added = (await call(post, "/v1/factors", {"subject": subject, "type": "totp"}, idempotency_key="k")).json()
        path, secret = f"/v1/factors/{added['id']}", added["totp"]["secret"]
        value = pyotp.TOTP(secret).at(int(service.ctx.clock.now()))
        for typed in (wrong(value), value, value):
            await call(post, f"{path}/verify", {"pin": typed})
        codes = (await call(post, "/v1/factors/recovery-codes", {"subject": subject}, idempotency_key="c")).json()[
            "codes"
        ]
        started = (await call(post, "/v1/challenges", {"subject": subject})).json()
        check = {"pin": codes[0], "remember": True}
        passed = (await call(post, f"/v1/challenges/{started['id']}/checks", check)).json()
        shown = [
            (await call("GET", f"/v1/subjects/{quote(subject)}")).content,
            (await call("GET", f"/v1/factors?subject={quote(subject)}")).content,
            (await call("GET", f"/v1/devices?subject={quote(subject)}")).content,
            (await call("DELETE", path, x_proof=f"{passed['proof']}x")).content,
        ]
        database, metrics = await dump(service), (await service.http.get("/metrics")).content
    out, err = output.readouterr()
    log = (out + err).encode()
    assert b'"request"' in log, "the log was really on"
    secrets = [secret, passed["device"], passed["proof"], *codes, *(code.replace("-", "") for code in codes)]
    assert_absent(secrets, {"log": log, "database": database, "metrics": metrics, "answers": b"".join(shown)})
    assert_absent([subject, quote(subject)], {"log": log, "metrics": metrics})


async def test_a_thousand_equal_pins_have_a_thousand_hashes(service: Service) -> None:
    hashes = await asyncio.gather(*(service.ctx.hasher.hash(f"ver_{n}", "123456", TICKET) for n in range(1000)))
    assert len({made.phc for made in hashes}) == 1000
    assert all(made.phc.startswith("$argon2id$v=19$") for made in hashes)


async def test_a_hash_belongs_to_its_verification_and_pepper(service: Service) -> None:
    made = await service.ctx.hasher.hash("ver_one", "123456", TICKET)
    assert await service.ctx.hasher.matches("ver_one", "123456", [made], TICKET)
    assert not await service.ctx.hasher.matches("ver_two", "123456", [made], TICKET)
    assert not await service.ctx.hasher.matches("ver_one", "123457", [made], TICKET)


def test_the_libraries_that_log_urls_are_silent_at_debug(output: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        logging.getLogger(name).error("GET https://gateway/rest/api/secret")
    out, err = output.readouterr()
    assert "/rest/api/" not in out + err
