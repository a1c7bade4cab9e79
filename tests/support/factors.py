"""Second factors in tests: enrolled ones, proofs of challenges, and what an authenticator app shows."""

import secrets
from typing import Any

import pyotp
import sqlalchemy as sa

from otp_service.services.clients.clients import ApiKeyCache
from otp_service.services.factors import enrolment, factors
from otp_service.services.factors.factors import FactorRequest, NewFactor
from otp_service.services.factors.representation import Factor
from otp_service.services.verifications import proofs
from otp_service.storage.factors import subjects
from otp_service.storage.verifications import verifications
from tests.support.service import Api, Service, new_number


async def client_id(service: Service, api: Api | None = None) -> str:
    """Returns the id of a client."""
    keys: ApiKeyCache = service.app.state.clients
    client = await keys.client_of((api or service.api).api_key)
    assert client is not None
    return client.id


def value(service: Service, secret: str, steps: int = 0) -> str:
    """Returns what an app with this secret shows now, or some steps later."""
    return pyotp.TOTP(secret).at(int(service.ctx.clock.now()) + 30 * steps)


async def new_totp(service: Service, subject: str, proof: str | None = None, **fields: Any) -> NewFactor:
    """Returns an app that is not verified, a second after what came before."""
    service.shift(1)
    request = FactorRequest(await client_id(service), subject, proof=proof, **fields)
    return await factors.create_totp(service.ctx, request, None)


async def verify(service: Service, factor: NewFactor, typed: str | None = None) -> enrolment.Verified:
    """Returns the answer to a value of an app, by default the right one."""
    assert factor.totp is not None
    typed = typed or value(service, factor.totp.secret)
    return await enrolment.verify(service.ctx, await client_id(service), factor.id, typed)


async def active_totp(service: Service, subject: str, proof: str | None = None) -> Factor:
    """Returns an active app."""
    verified = await verify(service, await new_totp(service, subject, proof))
    assert verified.result == "approved"
    return verified.factor


async def phone_proof(service: Service, to: str | None = None, **fields: Any) -> str:
    """Returns the proof of an approved verification of a number."""
    started = await service.api.start(to or new_number(), **fields)
    answer = await service.api.try_check(started["id"], service.pin(started["to"]))
    return str(answer.json()["proof"])


async def active_sms(service: Service, subject: str, to: str | None = None, proof: str | None = None) -> Factor:
    """Returns an active phone, a second after what came before."""
    service.shift(1)
    request = FactorRequest(await client_id(service), subject, proof=proof)
    return await factors.create_sms(service.ctx, request, await phone_proof(service, to))


async def challenge_proof(service: Service, subject: str, method: str = "otp") -> str:
    """Returns the proof of a challenge that the subject has just passed."""
    ctx, client = service.ctx, await client_id(service)
    now, challenge_id = ctx.clock.now(), f"chl_{secrets.token_urlsafe(16)}"
    kept = proofs.new_proof(ctx, "login", now)

    def step(tx: Any) -> Any:
        owner = subjects.lock(tx, client, subject, now=now)
        row = {
            "id": challenge_id,
            "client_id": client,
            "purpose": "login",
            "number_masked": "",
            "slot": challenge_id,
            "status": "approved",
            "pin_length": 6,
            "attempts": 5,
            "attempts_spent": 1,
            "attempts_compared": 0,
            "sends": 0,
            "sends_spent": 0,
            "subject": subject,
            "subject_id": owner,
            "created_at": now,
            "expires_at": now + 600,
            "resend_at": now,
            "ended_at": now,
            "delivery_status": "none",
            "channel": "totp",
            **kept.parameters,
        }
        assert verifications.insert(tx, row)
        return verifications.read(tx, client, challenge_id)

    row = await ctx.database.write(step)
    token = proofs.token(ctx, row, kept, client_id=client, session_hash=None, method=method, has_number=False)
    assert token is not None
    return token


def delete_elsewhere(service: Service, *tables: sa.Table) -> None:
    """Deletes all rows at once, as another replica can: this process gives each factor one turn at a time."""
    engine = sa.create_engine(service.ctx.database.engine.url)
    with engine.begin() as tx:
        for table in tables:
            tx.execute(sa.delete(table))
    engine.dispose()
