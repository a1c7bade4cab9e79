"""People who text us, as the gateway's list shows it, and what a test asks the database about them."""

from typing import Any

import sqlalchemy as sa

from otp_service.gateways.base import InboundMessage
from otp_service.services.inbound import reader
from otp_service.services.opt_outs import campaign
from otp_service.storage.tables import campaign_messages
from tests.support.service import Api, Service

HISTORY = "a text from before"


async def begin(service: Service) -> None:
    """The list has been read before: what comes now is no history."""
    service.vendor.mo("+573009999999", HISTORY, callback=False)
    await look(service)


async def look(service: Service) -> None:
    """The next look at the list, whose time has come."""
    service.shift(service.ctx.policy.inbound.poll_every + 1)
    await reader.poll(service.ctx)


async def texts(service: Service, to: str, *all_texts: str) -> None:
    """A person texts us, and the list shows it."""
    service.vendor.mos([(to, text) for text in all_texts], callback=False)
    await look(service)


async def hears(service: Service, to: str, text: str) -> None:
    """A callback brings a text that the list does not show."""
    await reader.on_text(service.ctx, InboundMessage(to, service.ctx.sender, text))


async def tells(service: Service) -> None:
    """The campaign platform is told what is due, and what was asked for just now."""
    now = service.ctx.clock.now()
    new = [row["due_at"] - now for row in await rows(service, campaign_messages) if row["due_at"] and not row["tries"]]
    service.shift(max([0.0, *new]))
    await campaign.work(service.ctx)


async def opt_out(api: Api, call: str, to: str) -> dict[str, Any]:
    """The answer of `add`, `lookup` or `remove`, which must be 200."""
    answer = await try_opt_out(api, call, to)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def try_opt_out(api: Api, call: str, to: str) -> Any:
    """The answer, however it ends."""
    return await api.call("POST", "/v1/opt-outs" + {"add": ""}.get(call, f"/{call}"), {"to": to})


async def source_of(service: Service, to: str) -> str | None:
    """Who opted the number out: `user`, `client`; None where nobody did."""
    source = (await opt_out(service.api, "lookup", to))["source"]
    assert source is None or isinstance(source, str)
    return source


async def rows(service: Service, table: sa.Table) -> list[dict[str, Any]]:
    """All rows of a table."""
    return await service.ctx.database.read(
        lambda tx: [dict(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
    )
