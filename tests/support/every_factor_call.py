"""A user with every kind of factor, who does everything that the API of second factors offers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.factors import phone_proof, value
from tests.support.service import Service, new_number, wrong


@dataclass
class Secrets:
    """What must be written nowhere. `codes`: also in their one form; `pins`: of messages, and values of apps."""

    totp: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)


@dataclass
class User:
    """Calls for one subject and notes what it gets. `noted`: called with every response."""

    service: Service
    subject: str
    noted: Callable[[httpx.Response], object] = lambda _: None
    secrets: Secrets = field(default_factory=Secrets)

    async def call(self, status: int, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Returns the content of a response that must have this status."""
        answer = await self.service.api.call(method, path, body, **headers)
        self.noted(answer)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def add_app(self, **headers: str) -> dict[str, Any]:
        """Returns a new app, which is not verified."""
        body = {"subject": self.subject, "type": "totp", "account_name": "Ana"}
        added: dict[str, Any] = await self.call(201, "POST", "/v1/factors", body, **headers)
        self.secrets.totp.append(added["totp"]["secret"])
        return added

    def shown(self, app: dict[str, Any]) -> str:
        """Returns a value of an app that was not used before."""
        self.service.shift(60)
        shown = value(self.service, app["totp"]["secret"])
        self.secrets.pins.append(shown)
        return shown

    async def start(self, status: int = 201, **fields: Any) -> dict[str, Any]:
        """Returns a challenge."""
        started: dict[str, Any] = await self.call(status, "POST", "/v1/challenges", {"subject": self.subject, **fields})
        return started

    async def check(self, challenge: dict[str, Any], typed: str, result: str, **fields: Any) -> dict[str, Any]:
        """Returns the answer to a check."""
        path = f"/v1/challenges/{challenge['id']}/checks"
        checked: dict[str, Any] = await self.call(200, "POST", path, {"pin": typed, **fields})
        assert checked["result"] == result
        self.secrets.proofs += [checked["proof"]] if checked["proof"] else []
        self.secrets.devices += [checked["device"]] if checked["device"] else []
        return checked

    async def proof(self, app: dict[str, Any]) -> str:
        """Returns the proof of a new challenge of an app."""
        return str((await self.check(await self.start(), self.shown(app), "approved"))["proof"])


async def use_every_call(user: User) -> dict[str, Any]:
    """Makes every call; the user ends with an app, which is returned, recovery codes and a device."""
    app = await _enroll(user)
    phone = await _add_phone(user, app)
    await _pass_challenges(user, app, phone)
    await _manage(user, phone, await user.proof(app))
    await user.check(await user.start(), user.shown(app), "approved", remember=True)
    await _lock(user)
    return app


async def _enroll(user: User) -> dict[str, Any]:
    for _ in range(2):
        app = await user.add_app(idempotency_key=f"add {user.subject}")
    path = f"/v1/factors/{app['id']}"
    shown = user.shown(app)
    await user.call(200, "POST", f"{path}/verify", {"pin": wrong(shown)})
    await user.call(422, "POST", f"{path}/verify", {"pin": [shown]})
    assert (await user.call(200, "POST", f"{path}/verify", {"pin": shown}))["result"] == "approved"
    assert (await user.call(200, "POST", f"{path}/verify", {"pin": shown}))["result"] == "already_approved"
    for proof in (None, await user.proof(app)):
        headers = {"x_proof": proof} if proof else {}
        made = await user.call(201, "POST", "/v1/factors/recovery-codes", {"subject": user.subject}, **headers)
        user.secrets.codes += made["codes"]
    return app


async def _add_phone(user: User, app: dict[str, Any]) -> dict[str, Any]:
    to = new_number()
    user.secrets.numbers.append(to)
    body = {"subject": user.subject, "type": "sms", "proof": await phone_proof(user.service, to), "name": "Phone"}
    await user.call(403, "POST", "/v1/factors", body)
    phone: dict[str, Any] = await user.call(201, "POST", "/v1/factors", body, x_proof=await user.proof(app))
    user.service.shift(31)
    return phone


async def _pass_challenges(user: User, app: dict[str, Any], phone: dict[str, Any]) -> None:
    code = user.secrets.codes[-1]
    challenge = await user.start(session="s", user_ip="198.51.100.7")
    await user.start(200, session="s")
    await user.call(409, "POST", f"/v1/challenges/{challenge['id']}/checks", {"pin": "123456", "session": "t"})
    await user.call(409, "POST", f"/v1/challenges/{challenge['id']}/resends")
    await user.check(challenge, wrong(user.shown(app)), "incorrect", session="s")
    await user.check(challenge, "0000-0000-00", "incorrect", session="s")
    await user.call(422, "POST", f"/v1/challenges/{challenge['id']}/checks", {"pin": f"{code}!", "session": "s"})
    await user.check(challenge, code.upper(), "approved", session="s")
    await user.check(challenge, code, "already_approved", session="s")
    challenge = await user.start(factor=phone["id"])
    user.service.shift(31)
    await user.call(200, "POST", f"/v1/challenges/{challenge['id']}/resends")
    pin = user.service.pin(user.secrets.numbers[-1])
    user.secrets.pins.append(pin)
    await user.check(challenge, wrong(pin), "incorrect")
    await user.check(challenge, pin, "approved", remember=True)
    by_device = await user.start(device=user.secrets.devices[-1])
    assert by_device["status"] == "approved"
    user.secrets.proofs.append(by_device["proof"])
    user.service.shift(31)
    challenge = await user.start(factor=phone["id"])
    path = f"/v1/challenges/{challenge['id']}"
    await user.call(200, "POST", f"{path}/switch", {"factor": app["id"]})
    await user.call(200, "GET", path)
    await user.call(200, "GET", f"{path}/events")
    await user.call(200, "POST", f"{path}/cancel")
    decoy = await user.start(decoy=True, session="nobody")
    await user.check(decoy, "123456", "incorrect", session="nobody")


async def _manage(user: User, phone: dict[str, Any], proof: str) -> None:
    query, path = f"?subject={user.subject}", f"/v1/factors/{phone['id']}"
    await user.call(200, "POST", path, {"name": "Other", "preferred": True})
    await user.call(200, "GET", path)
    await user.call(200, "GET", f"/v1/factors{query}")
    (device,) = (await user.call(200, "GET", f"/v1/devices{query}"))["devices"]
    await user.call(204, "DELETE", f"/v1/devices/{device['id']}")
    await user.call(204, "DELETE", f"/v1/devices{query}")
    unverified: dict[str, Any] = await user.call(
        201, "POST", "/v1/factors", {"subject": user.subject, "type": "totp"}, x_proof=proof
    )
    user.secrets.totp.append(unverified["totp"]["secret"])
    await user.call(204, "DELETE", f"/v1/factors/{unverified['id']}")
    await user.call(204, "DELETE", path)
    await user.call(200, "GET", f"/v1/subjects/{user.subject}")


async def _lock(user: User) -> None:
    """Types wrong values until the user waits."""
    for attempt in range(100):
        session = f"attempt {attempt}"
        path = f"/v1/challenges/{(await user.start(session=session))['id']}/checks"
        if (await user.call(200, "POST", path, {"pin": "000000", "session": session}))["result"] == "locked":
            return
    raise AssertionError("nothing locks")
