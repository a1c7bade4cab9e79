"""Proofs: what they say, that they are redeemed once, and what is refused."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
import sqlalchemy as sa

from otp_service.services.operations import retention
from otp_service.storage.tables import verifications
from otp_service.vault import generate_key_entry
from tests.support.people import begin, texts
from tests.support.service import NO_LIMITS, SECRET_KEYS, Api, Service, new_number, serving, wrong
from tests.support.vendor import Vendor

SECRET = "a secret of the browser"


def challenge_of(session: str) -> str:
    """Returns the S256 of PKCE."""
    return base64.urlsafe_b64encode(hashlib.sha256(session.encode()).digest()).decode().rstrip("=")


async def approved(service: Service, given: dict[str, Any] | None = None, **fields: Any) -> tuple[dict[str, Any], str]:
    """Returns an approved verification and its proof. `given`: the session of the check."""
    started = await service.api.start(**fields)
    answer = await service.api.try_check(started["id"], service.pin(started["to"]), **(given or {}))
    assert answer.json()["result"] == "approved"
    return answer.json()["verification"], answer.json()["proof"]


async def redeem(api: Api, proof: Any, purpose: str = "signup", **fields: Any) -> httpx.Response:
    """Returns the response to a redemption."""
    key = fields.pop("idempotency_key", None)
    headers = {"idempotency_key": key} if key else {}
    return await api.call("POST", "/v1/proofs/redeem", {"proof": proof, "purpose": purpose, **fields}, **headers)


async def code(api: Api, proof: Any, purpose: str = "signup", **fields: Any) -> tuple[int, str]:
    """Returns the status and the code of a redemption that is refused."""
    answer = await redeem(api, proof, purpose, **fields)
    return answer.status_code, answer.json()["code"]


async def verified(service: Service, proof: str) -> dict[str, Any]:
    """Returns the claims as an application verifies them offline."""
    answer = await service.http.get("/.well-known/jwks.json")
    keys = jwt.PyJWKSet.from_dict(answer.json())
    header = jwt.get_unverified_header(proof)
    key = keys[header["kid"]]
    untimed = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
    claims: dict[str, Any] = jwt.decode(proof, key.key, algorithms=["ES256"], options=untimed)  # type: ignore[arg-type]
    return claims


INVALID = (422, "invalid_proof")
MISMATCH = (409, "mismatch")


async def test_an_approved_check_carries_a_proof_that_applications_can_verify(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, public_url="https://otp.example/") as service:
        of_start = {"session": SECRET, "subject": "user-ñ", "reference": "r"}
        shown, proof = await approved(service, {"session": SECRET}, **of_start)
        claims = await verified(service, proof)
        assert claims.keys() == {
            "iss", "aud", "iat", "exp", "jti", "verification_id", "purpose", "sub", "phone_number",
            "phone_number_verified", "amr", "session_hash",
        }  # fmt: skip
        assert claims["iss"] == "https://otp.example/"
        assert claims["exp"] == claims["iat"] + 300
        assert claims["iat"] == pytest.approx(service.ctx.clock.now(), abs=5)
        assert (claims["verification_id"], claims["purpose"], claims["sub"]) == (shown["id"], "signup", "user-ñ")
        assert (claims["phone_number"], claims["phone_number_verified"]) == (shown["to"], True)
        assert (claims["amr"], claims["session_hash"]) == (["sms"], challenge_of(SECRET))
        assert "proof" not in shown
        assert "proof" not in await service.api.read(shown["id"])
        again = await service.api.try_check(shown["id"], service.pin(shown["to"]), session=SECRET)
        assert (again.json()["result"], again.json()["proof"]) == ("already_approved", None)


async def test_claims_without_a_value_are_left_out_and_the_issuer_has_a_default(service: Service) -> None:
    _, proof = await approved(service)
    claims = await verified(service, proof)
    assert claims["iss"] == "urn:otp-service"
    assert not {"sub", "session_hash", "test"} & claims.keys()


async def test_a_proof_and_its_redemption_say_that_the_number_is_a_test_number(
    database_url: str, vendor: Vendor
) -> None:
    number, pin = new_number(), "424242"
    until = datetime.now(UTC).date() + timedelta(days=10)
    async with serving(database_url, vendor, {"test_numbers": {number: {"pin": pin, "until": until}}}) as service:
        started = await service.api.start(number)
        proof = (await service.api.try_check(started["id"], pin)).json()["proof"]
        assert (await verified(service, proof))["test"] is True
        assert (await redeem(service.api, proof)).json()["test"] is True
        _, real = await approved(service)
        assert "test" not in (await redeem(service.api, real)).json()


async def test_a_proof_is_redeemed_once(service: Service) -> None:
    shown, proof = await approved(service, subject="user-1", reference="form-2")
    answer = await redeem(service.api, proof)
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("approved_at") <= body.pop("redeemed_at")
    assert body == {
        "verification_id": shown["id"],
        "purpose": "signup",
        "to": shown["to"],
        "subject": "user-1",
        "reference": "form-2",
    }
    assert await code(service.api, proof) == (409, "already_redeemed")


@pytest.mark.both_databases
async def test_of_fifty_redemptions_at_once_on_two_replicas_one_succeeds(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as one, serving(database_url, vendor) as two:
        other = Api(two.http, one.api.api_key)
        _, proof = await approved(one)
        answers = await asyncio.gather(*(redeem((one.api, other)[n % 2], proof) for n in range(50)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_redeemed"}


async def test_another_purpose_or_session_is_a_mismatch_and_consumes_nothing(service: Service) -> None:
    _, proof = await approved(service, {"session": SECRET}, session=SECRET)
    assert await code(service.api, proof, "login", session=SECRET) == MISMATCH
    assert await code(service.api, proof, "nothing", session=SECRET) == MISMATCH
    assert await code(service.api, proof, session="another") == MISMATCH
    assert await code(service.api, proof, session=challenge_of(SECRET)) == MISMATCH
    assert await code(service.api, proof) == MISMATCH
    assert (await redeem(service.api, proof, session=SECRET)).status_code == 200
    _, without = await approved(service)
    assert await code(service.api, without, session=SECRET) == MISMATCH


async def test_what_is_not_exactly_a_proof_of_this_client_is_invalid_and_consumes_nothing(service: Service) -> None:
    _, proof = await approved(service)
    head, payload, signature = proof.split(".")
    public = (await service.http.get("/.well-known/jwks.json")).json()["keys"][0]

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    def with_hs256(key: bytes) -> str:
        message = f"{part({'typ': 'JWT', 'alg': 'HS256', 'kid': public['kid']})}.{payload}"
        mac = hmac.digest(key, message.encode(), "sha256")
        return f"{message}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    pem = jwt.PyJWK.from_dict(public).key.public_bytes(*_pem_format())
    claims = await verified(service, proof)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    forged = [
        f"{part({'typ': 'JWT', 'alg': 'none'})}.{payload}.",
        f"{part({'typ': 'JWT', 'alg': 'none', 'kid': public['kid']})}.{payload}.{signature}",
        with_hs256(pem),
        with_hs256(json.dumps(public).encode()),
        f"{part({'typ': 'JWT', 'alg': 'ES256', 'kid': 'other'})}.{payload}.{signature}",
        f"{part({'typ': 'JWT', 'alg': 'ES256', 'kid': 7})}.{payload}.{signature}",
        f"{part({'typ': 'JWT', 'alg': 'ES256', 'jwk': public})}.{payload}.{signature}",
        f"{head}.{part({**claims, 'purpose': 'login'})}.{signature}",
        f"{head}.{payload}.{respelled}",
        f"{proof}=",
        f"{proof}\n",
        f" {proof}",
        proof[:-1],
        f"{head}.{payload}",
        "",
        "x",
        "..",
        "é.é.é",
        "a" * 9000,
    ]
    for each in forged:
        assert await code(service.api, each) == INVALID, each
    other = await service.client("another")
    assert await code(other, proof) == INVALID
    for value in (None, 7, [proof], {"proof": proof}):
        assert await code(service.api, value) == (422, "invalid")
    assert (await redeem(service.api, proof)).status_code == 200


def _pem_format() -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


@pytest.mark.usefixtures("stopped_clock")
async def test_a_proof_expires_after_the_lifetime_of_its_purpose(database_url: str, vendor: Vendor) -> None:
    config = {"purposes": {"signup": {"proof_lifetime": 60}}, "limits": NO_LIMITS}
    async with serving(database_url, vendor, config) as service:
        _, early = await approved(service)
        service.shift(58)
        assert (await redeem(service.api, early)).status_code == 200
        _, late = await approved(service)
        service.shift(60)
        assert await code(service.api, late) == INVALID
        assert await code(service.api, early) == INVALID


async def test_a_restored_or_wiped_verification_has_no_proof(database_url: str, vendor: Vendor) -> None:
    config = {"retention": {"number": 0}, "limits": NO_LIMITS}
    async with serving(database_url, vendor, config) as service:
        _, restored = await approved(service)
        await retention.cancel_pending(service.ctx.database, service.ctx.clock, "restored")
        assert await code(service.api, restored) == INVALID
        _, wiped = await approved(service)
        service.shift(1)
        await retention.sweep(service.ctx)
        assert await code(service.api, wiped) == INVALID
        shown, canceled = await approved(service)
        gone = sa.update(verifications).where(verifications.c.id == shown["id"]).values(status="canceled")
        await service.ctx.database.write(lambda tx: tx.execute(gone))
        assert await code(service.api, canceled) == INVALID


async def test_a_repeated_request_gets_the_same_proof_and_the_same_redemption(service: Service) -> None:
    started = await service.api.start()
    body = {"pin": service.pin(started["to"])}
    path = f"/v1/verifications/{started['id']}/checks"
    first, second = [await service.api.call("POST", path, body, idempotency_key="c") for _ in range(2)]
    assert first.json()["proof"]
    assert second.text == first.text
    proof = first.json()["proof"]
    redeemed, again = [await redeem(service.api, proof, idempotency_key="r") for _ in range(2)]
    assert (redeemed.status_code, again.text) == (200, redeemed.text)
    assert await code(service.api, proof) == (409, "already_redeemed")


async def test_an_inbound_verification_shows_its_proof_when_it_is_read_until_it_expires(service: Service) -> None:
    await begin(service)
    to = new_number()
    claimed = await service.api.start(to, channel="inbound", session=SECRET)
    assert "proof" not in claimed
    await texts(service, to, claimed["inbound"]["text"])
    shown = await service.api.read(claimed["id"])
    assert shown["proof"] == (await service.api.read(claimed["id"]))["proof"]
    claims = await verified(service, shown["proof"])
    assert (claims["phone_number"], claims["session_hash"], claims["amr"]) == (to, challenge_of(SECRET), ["sms"])
    assert "proof" not in str(await service.api.events(claimed["id"]))
    checked = await service.api.try_check(claimed["id"], "123456", session=SECRET)
    assert (checked.json()["result"], checked.json()["proof"]) == ("already_approved", None)
    assert "proof" not in checked.json()["verification"]
    assert (await redeem(service.api, shown["proof"], session=SECRET)).status_code == 200
    service.shift(301)
    assert "proof" not in await service.api.read(claimed["id"])


async def test_the_secret_of_a_session_challenge_is_the_session(service: Service) -> None:
    to = new_number()
    started = await service.api.start(to, session_challenge=challenge_of(SECRET))
    for same in ({"session_challenge": challenge_of(SECRET)}, {"session": SECRET}):
        again = await service.api.try_start(to, **same)
        assert (again.status_code, again.json()["id"]) == (200, started["id"])
    pin = service.pin(to)
    for other in ({}, {"session": "another"}, {"session": challenge_of(SECRET)}):
        refused = await service.api.try_check(started["id"], pin, **other)
        assert (refused.status_code, refused.json()["code"]) == MISMATCH
    assert await service.api.check(started["id"], wrong(pin), session=SECRET) == "incorrect"
    proof = (await service.api.try_check(started["id"], pin, session=SECRET)).json()["proof"]
    assert (await verified(service, proof))["session_hash"] == challenge_of(SECRET)
    assert await code(service.api, proof) == MISMATCH
    assert (await redeem(service.api, proof, session=SECRET)).status_code == 200


async def test_another_number_of_the_same_challenge_supersedes(service: Service) -> None:
    first = await service.api.start(session_challenge=challenge_of(SECRET))
    await service.api.start(session_challenge=challenge_of(SECRET))
    assert (await service.api.read(first["id"]))["reason"] == "superseded"


@pytest.mark.parametrize(
    "fields",
    [
        {"session": SECRET, "session_challenge": challenge_of(SECRET)},
        {"session_challenge": ""},
        {"session_challenge": challenge_of(SECRET) + "="},
        {"session_challenge": challenge_of(SECRET)[:-1] + "+"},
        {"session_challenge": challenge_of(SECRET) + "\n"},
        {"session_challenge": hashlib.sha256(SECRET.encode()).hexdigest()},
    ],
)
async def test_a_challenge_beside_a_session_or_of_another_form_is_refused(service: Service, fields: Any) -> None:
    answer = await service.api.try_start(new_number(), **fields)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [each["field"] for each in answer.json()["errors"]] == ["session_challenge"]


async def test_a_start_of_the_previous_release_is_checked_and_redeemed(database_url: str, vendor: Vendor) -> None:
    async with serving(database_url, vendor) as service:
        started = await service.api.start(session=SECRET)
        before = sa.update(verifications).values(session_hash=None)
        await service.ctx.database.write(lambda tx: tx.execute(before))
        pin = service.pin(started["to"])
        assert (await service.api.try_check(started["id"], pin)).json()["code"] == "mismatch"
        proof = (await service.api.try_check(started["id"], pin, session=SECRET)).json()["proof"]
        assert await code(service.api, proof) == MISMATCH
        assert (await redeem(service.api, proof, session=SECRET)).status_code == 200


async def test_every_secret_key_has_a_public_key_and_the_first_signs(database_url: str, vendor: Vendor) -> None:
    newer = generate_key_entry()
    ids = [entry.partition(":")[0] for entry in (SECRET_KEYS, newer)]
    async with (
        serving(database_url, vendor, secret_keys=f"{SECRET_KEYS},{newer}") as before,
        serving(database_url, vendor, secret_keys=f"{newer},{SECRET_KEYS}") as after,
        serving(database_url, vendor, secret_keys=newer) as removed,
    ):
        published = await before.http.get("/.well-known/jwks.json")
        assert published.headers["cache-control"] == "max-age=300"
        keys = published.json()["keys"]
        assert [key["kid"] for key in keys] == ids
        for key in keys:
            assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        turned = (await after.http.get("/.well-known/jwks.json")).json()["keys"]
        assert turned == keys[::-1]
        _, old = await approved(before)
        _, new = await approved(after)
        assert [jwt.get_unverified_header(each)["kid"] for each in (old, new)] == ids
        assert await code(Api(removed.http, before.api.api_key), old) == INVALID
        assert (await redeem(Api(after.http, before.api.api_key), old)).status_code == 200
        assert (await redeem(Api(before.http, after.api.api_key), new)).status_code == 200


async def test_the_database_keeps_nothing_that_proves_anything(service: Service) -> None:
    _, proof = await approved(service)
    rows = await service.ctx.database.read(lambda tx: str(tx.execute(sa.select(verifications)).all()))
    assert not any(part in rows for part in proof.split("."))
