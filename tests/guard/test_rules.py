"""The rules of the guard, on a few messages."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from otp_service.guard import counting
from otp_service.guard.keys import Key, keys_of
from otp_service.guard.requests import Request
from otp_service.guard.rows import Row
from otp_service.guard.rules import decide

DAY = 86400.0
NOON = 20_000 * DAY + DAY / 2


@dataclass
class Guard:
    """Decides and counts, over rows in memory."""

    rows: dict[Key, Row] = field(default_factory=dict)

    def send(self, request: Request) -> bool:
        decision = decide(request, self.rows)
        change = counting.blocked if decision.blocked else counting.sent
        self.rows |= change(request, self.rows)
        return not decision.blocked

    def approve(self, request: Request, at: float) -> None:
        self.rows |= counting.approved(at, {key: self.rows.get(key, Row()) for key in keys_of(request)})


def message(at: float, number: str, client: str = "shop", country: str = "CO", address: str | None = None) -> Request:
    return Request(at, client, number, country, address)


def burst(count: int, at: float = NOON) -> Iterable[Request]:
    return (message(at + index, f"+57300555{index * 97:04d}") for index in range(count))


def test_a_burst_to_one_block_is_stopped() -> None:
    guard = Guard()
    assert sum(map(guard.send, burst(100))) == 5


def test_approvals_pay_back() -> None:
    guard = Guard()
    for request in burst(100):
        assert guard.send(request)
        guard.approve(request, request.at + 0.5)


def test_a_known_person_passes_while_the_block_is_stopped() -> None:
    guard = Guard()
    person = message(NOON - DAY, "+573005559999")
    assert guard.send(person)
    guard.approve(person, person.at + 20)
    assert sum(map(guard.send, burst(100))) < 10
    assert guard.send(message(NOON + 200, "+573005559999"))
    assert not guard.send(message(NOON + 201, "+573005559998"))
