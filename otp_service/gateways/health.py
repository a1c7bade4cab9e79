"""The state of the gateway as this process sees it: a breaker for each route, and whether the signature is accepted."""

from dataclasses import dataclass, field

import structlog

from otp_service.gateways.base import NoReply, Outcome, Sent
from otp_service.gateways.breaker import Breaker
from otp_service.observability.metrics import BAD_SIGNATURES, BREAKER_OPEN, GATEWAY_READS

log = structlog.get_logger("otp_service.health")

ROUTES = ("pin", "sms", "mt")


@dataclass
class GatewayHealth:
    """What this process knows about the gateway. `breakers`: by route.

    `bad_signature`: the gateway rejected our signature and has not accepted one since. No retry can mend that.
    Anybody can read the state: how one message went is not in it, or it would tell a decoy from a real start.
    """

    bad_signature: bool = False
    breakers: dict[str, Breaker] = field(default_factory=lambda: {route: Breaker() for route in ROUTES})

    def trouble(self, now: float) -> bool:
        """Return whether a person should look: a route is open or the signature is rejected."""
        return "open" in self.routes(now).values() or self.bad_signature

    def routes(self, now: float) -> dict[str, str]:
        """Return the state of each breaker, and update the metric."""
        states = {route: breaker.describe(now) for route, breaker in self.breakers.items()}
        for route, state in states.items():
            BREAKER_OPEN.labels(route).set(state == "open")
        return dict(states)

    def allows(self, route: str, now: float) -> bool:
        """Return whether a send may go out over the route."""
        return self.breakers[route].allows(now)

    def record_send(self, route: str, sent: Sent, now: float) -> None:
        """Record the outcome of a send that was allowed."""
        breaker = self.breakers[route]
        before = breaker.state
        breaker.record(sent, now)
        if breaker.state != before:
            log.warning("breaker", route=route, state=breaker.state, reason=sent.reason)
        self.routes(now)
        self._record_signature(route, sent.reason, accepted=sent.outcome is Outcome.ACCEPTED)

    def record_read(self, method: str, answer: object) -> None:
        """Record the answer to any other call: a Sent or NoReply says its reason, everything else is `ok`."""
        reason = answer.reason if isinstance(answer, Sent | NoReply) else "ok"
        GATEWAY_READS.labels(method, reason).inc()
        self._record_signature(method, reason, accepted=reason == "ok")

    def _record_signature(self, method: str, reason: str, *, accepted: bool) -> None:
        if reason == "bad_signature":
            BAD_SIGNATURES.labels(method).inc()
            if not self.bad_signature:
                log.error("gateway_refuses_signature", method=method, advice="run `otp-service doctor`")
            self.bad_signature = True
        elif accepted:
            self.bad_signature = False
