"""Attempts that were spent one after the other may be compared in any order: the last of them ends the verification."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.services.limits import limits
from otp_service.storage.tables import verifications
from otp_service.storage.verifications import attempts, comparisons
from otp_service.storage.verifications.attempts import AttemptConditions, Spent
from otp_service.storage.verifications.sessions import Session
from tests.support.service import NO_LIMITS, serving
from tests.support.vendor import Vendor

pytestmark = pytest.mark.both_databases

ATTEMPTS = 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_whichever_is_compared_last_exhausts_it(
    database_url: str, vendor: Vendor, order: tuple[int, ...]
) -> None:
    config = {"limits": NO_LIMITS, "purposes": {"signup": {"attempts": ATTEMPTS}}}
    async with serving(database_url, vendor, config) as service:
        started = await service.api.start()
        of_this = sa.select(verifications.c.client_id).where(verifications.c.id == started["id"])
        client_id = str(await service.ctx.database.read(lambda tx: tx.scalar(of_this)))
        matching = AttemptConditions(client_id, started["id"], 6, Session.of(client_id, None), None, None)
        wait_steps = limits.wait_steps(service.ctx.policy.limits.failures_per_number)

        def spend(tx: Connection) -> Spent:
            spent = attempts.spend(tx, matching, now=service.ctx.clock.now(), wait_steps=wait_steps)
            assert isinstance(spent, Spent)
            return spent

        spent = [await service.ctx.database.write(spend) for _ in range(ATTEMPTS)]
        assert [each.none_left for each in spent] == [False, False, True]

        async def compare(none_left: bool) -> str:
            now = service.ctx.clock.now()
            row = await service.ctx.database.write(
                lambda tx: comparisons.record_incorrect(tx, started["id"], none_left=none_left, now=now)
            )
            return str(row.status)

        found = [await compare(spent[at].none_left) for at in order]
        assert found == ["pending", "pending", "exhausted"]
