"""How many statements and transactions a start and a check take; nothing is held while the gateway works."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.support.service import NO_LIMITS, Service, new_number, serving, wrong
from tests.support.statements import open_transactions, told
from tests.support.vendor import Vendor

pytestmark = pytest.mark.both_databases

ALL_LIMITS = {
    "sends_per_number": "500/hour; 1000/day",
    "pause_per_number": 1,
    "sends_per_user_ip": "25/5 minutes",
    "sends_per_client": "1000/hour",
}
NOT_COUNTED = ("api_keys", "requests")


class Counted:
    """Statements by transaction, in order."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []

    @property
    def statements(self) -> int:
        return sum(len(each) for each in self.transactions)


@contextmanager
def counting(service: Service) -> Iterator[Counted]:
    """Counts what the service does in the block; transactions without a counted statement are left out."""
    engine, counted = service.ctx.database.engine, Counted()

    def begun(_: Connection) -> None:
        counted.transactions.append([])

    def executed(statement: str, _: Any) -> None:
        if not any(word in statement for word in NOT_COUNTED):
            counted.transactions[-1].append(statement)

    sa.event.listen(engine, "begin", begun)
    try:
        with told(engine, executed):
            yield counted
    finally:
        sa.event.remove(engine, "begin", begun)
        counted.transactions = [each for each in counted.transactions if each]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"limits": ALL_LIMITS}


async def test_a_start_takes_two_transactions_and_at_most_ten_statements(
    database_url: str, vendor: Vendor, limits: dict[str, Any]
) -> None:
    async with serving(database_url, vendor, limits) as service:
        with counting(service) as counted:
            await service.api.start(session="s", user_ip="198.51.100.1")
        assert len(counted.transactions) == 2
        assert counted.statements == 8
        with counting(service) as superseding:
            await service.api.start(session="s", user_ip="198.51.100.1")
        assert len(superseding.transactions) == 2
        assert superseding.statements == 10


async def test_the_guard_takes_one_statement_of_a_start_and_one_more_to_recognize_a_subject(
    database_url: str, vendor: Vendor, limits: dict[str, Any]
) -> None:
    statements = {}
    for mode in ("off", "enforce"):
        async with serving(database_url, vendor, {**limits, "guard": {"mode": mode}}) as service:
            for subject in (None, "user-17"):
                with counting(service) as counted:
                    await service.api.start(subject=subject)
                statements[mode, subject] = counted.statements
    assert statements["enforce", None] - statements["off", None] == 1
    assert statements["enforce", "user-17"] - statements["off", None] == 2


async def test_each_further_route_is_one_transaction_more(
    database_url: str, vendor: Vendor, limits: dict[str, Any]
) -> None:
    async with serving(database_url, vendor, limits) as service:
        vendor.fail("pin", "refuse")
        with counting(service) as counted:
            started = await service.api.start(user_ip="198.51.100.1")
        assert started["delivery"]["route"] == "sms"
        assert [len(each) for each in counted.transactions] == [6, 4, 2]


async def test_a_check_takes_two_transactions_and_on_postgresql_one_statement_each(
    database_url: str, vendor: Vendor, limits: dict[str, Any]
) -> None:
    async with serving(database_url, vendor, limits) as service:
        in_steps = service.ctx.database.is_sqlite
        started = await service.api.start(session="s")
        pin = service.pin(started["to"])
        with counting(service) as counted:
            assert await service.api.check(started["id"], wrong(pin), session="s") == "incorrect"
        assert [len(each) for each in counted.transactions] == ([2, 2] if in_steps else [1, 1])
        with counting(service) as counted:
            assert await service.api.check(started["id"], pin, session="s") == "approved"
        assert [len(each) for each in counted.transactions] == ([2, 4] if in_steps else [1, 1])


async def test_the_last_wrong_check_takes_one_statement_more_on_sqlite_for_its_event(
    database_url: str, vendor: Vendor
) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        in_steps = service.ctx.database.is_sqlite
        started = await service.api.start()
        for left in range(started["attempts_left"] - 1, -1, -1):
            with counting(service) as counted:
                assert await service.api.check(started["id"], wrong(service.pin(started["to"]))) == "incorrect"
            assert [len(each) for each in counted.transactions] == ([2, 2 if left else 3] if in_steps else [1, 1])
            after = await service.api.read(started["id"])
            assert (after["attempts_left"], after["status"]) == (left, "pending" if left else "exhausted")


async def test_no_transaction_is_open_while_the_gateway_works_or_a_pin_is_hashed(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url, vendor, {"limits": NO_LIMITS}) as service:
        now_open = open_transactions(service.ctx.database.engine)
        held: list[int] = []
        for owner, name in (
            (service.ctx.gateway, "send_pin"),
            (service.ctx.hasher, "hash"),
            (service.ctx.hasher, "matches"),
        ):
            real = getattr(owner, name)

            async def watched(*args: Any, real: Any = real) -> Any:
                held.append(now_open())
                result = await real(*args)
                held.append(now_open())
                return result

            monkeypatch.setattr(owner, name, watched)
        started = await service.api.start(new_number())
        await service.api.check(started["id"], service.pin(started["to"]))
        assert held == [0] * 6
