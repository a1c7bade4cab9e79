"""How this process finds the gateway: the newest send, the breaker of each route, the signature."""

from dataclasses import dataclass, field

import structlog

from otp_service.gateways.base import Outcome, Sent
from otp_service.gateways.breaker import Breaker
from otp_service.observability.metrics import BAD_SIGNATURES, BREAKER_OPEN, GATEWAY_READS

log = structlog.get_logger("otp_service.health")

ROUTES = ("pin", "sms", "mt")


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
