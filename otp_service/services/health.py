"""Whether this process can serve: the database, the schema, and for information the gateway."""

import asyncio
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from otp_service.errors import Unavailable
from otp_service.gateways.base import Outcome, Sent
from otp_service.metrics import BAD_SIGNATURES, BREAKER_OPEN, GATEWAY_READS
from otp_service.services.breaker import Breaker
from otp_service.storage import schema
from otp_service.storage.engine import Database

log = structlog.get_logger("otp_service.health")

ROUTES = ("pin", "sms", "mt")
ANSWER_WITHIN_SECONDS = 2.0


@dataclass
class GatewayHealth:
    """How this process finds the gateway. `last`: the reason of the newest send; `breakers`: by route.

    `bad_signature`: it refused our signature and has not taken one since. No repetition mends that.
    """

    last: str = "nothing sent yet"
    bad_signature: bool = False
    breakers: dict[str, Breaker] = field(default_factory=lambda: {route: Breaker() for route in ROUTES})
    _trouble: bool = False

    def trouble(self, now: float) -> bool:
        """Whether a person should look: a send was not taken, a route is left out, the signature is refused."""
        return self._trouble or "open" in self.routes(now).values() or self.bad_signature

    def routes(self, now: float) -> dict[str, str]:
        """The state of each breaker, also as a metric."""
        shown = {route: breaker.shown(now) for route, breaker in self.breakers.items()}
        for route, state in shown.items():
            BREAKER_OPEN.labels(route).set(state == "open")
        return dict(shown)

    def admits(self, route: str, now: float) -> bool:
        """Whether a send may go out over the route."""
        return self.breakers[route].admits(now)

    def note(self, route: str, sent: Sent, now: float) -> None:
        """Remembers how a send went that was admitted."""
        self.last, self._trouble = sent.reason, sent.outcome is not Outcome.ACCEPTED
        breaker = self.breakers[route]
        before = breaker.state
        breaker.note(sent, now)
        if breaker.state != before:
            log.warning("breaker", route=route, state=breaker.state, reason=sent.reason)
        self.routes(now)
        self._note_signature(route, sent.reason, accepted=sent.outcome is Outcome.ACCEPTED)

    def note_read(self, method: str, reason: str) -> None:
        """Remembers how a call went that only reads or tells; `reason`: `ok` or why not."""
        GATEWAY_READS.labels(method, reason).inc()
        self._note_signature(method, reason, accepted=reason == "ok")

    def _note_signature(self, method: str, reason: str, *, accepted: bool) -> None:
        if reason == "bad_signature":
            BAD_SIGNATURES.labels(method).inc()
            if not self.bad_signature:
                log.error("gateway_refuses_signature", method=method, advice="run `otp-service doctor`")
            self.bad_signature = True
        elif accepted:
            self.bad_signature = False


async def database_and_schema(database: Database) -> dict[str, str]:
    """`{"database": "ok" or "unavailable", "schema": "ok", "outdated" or "unknown"}`."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            found = await writable_revision(database)
    except (Unavailable, TimeoutError):
        return {"database": "unavailable", "schema": "unknown"}
    return {"database": "ok", "schema": "ok" if schema.is_current(found) else "outdated"}


async def writable_revision(database: Database) -> str | None:
    """The schema's revision. Raises Unavailable also where the database cannot be written: it serves nobody."""

    def look(tx: Connection) -> str | None:
        found = schema.revision(tx)
        if schema.is_current(found):
            schema.require_writable(tx)
        return found

    return await database.write(look)
