"""Two servers on one database that are killed and restarted while notifications are posted and sent."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
import sqlalchemy as sa

from otp_service.database.engine import Database
from otp_service.storage import tables
from tests.support.patience import PATIENCE
from tests.support.processes import Running, launched
from tests.support.servers import free_port
from tests.support.service import Api
from tests.support.vendor import Vendor

AT_ONCE = 16


@dataclass
class Fleet:
    """Two replicas that keep their ports. `kills` counts how often one was killed."""

    settings: dict[str, str]
    stack: ExitStack
    ports: list[int] = field(default_factory=lambda: [free_port(), free_port()])
    servers: list[Running] = field(default_factory=list)
    kills: int = 0

    def start(self) -> None:
        """Starts both replicas and waits until they are ready."""
        self.servers = [self._launch(port) for port in self.ports]
        for server in self.servers:
            server.wait_for(server.is_ready)

    def _launch(self, port: int) -> Running:
        server = self.stack.enter_context(launched("serve", "--port", str(port), settings=self.settings))
        server.url = f"http://127.0.0.1:{port}"
        return server

    def replace(self, at: int) -> None:
        """Kills one replica with SIGKILL and starts another in its place, while the other one runs."""
        self.servers[at].kill()
        self.kills += 1
        self.servers[at] = self._launch(self.ports[at])
        self.servers[at].wait_for(self.servers[at].is_ready)

    async def suffer(self, seed: int, kills: int, longest_pause: float) -> None:
        """Kills this many times, each at a random moment a random replica."""
        chance = random.Random(seed)
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.1, longest_pause))
            await asyncio.to_thread(self.replace, chance.randrange(2))


async def post_all(fleet: Fleet, api_key: str, numbers: Iterable[str]) -> None:
    """Posts a notification with a unique text to each number, and repeats each call until it gets a response."""
    waiting = iter(numbers)

    async def post_some(turn: int) -> None:
        async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
            api = Api(http, api_key)
            for to in waiting:
                while not await _posted(api, fleet.servers[turn % 2].url, to):
                    turn += 1

    await asyncio.gather(*(post_some(turn) for turn in range(AT_ONCE)))


async def _posted(api: Api, url: str, to: str) -> bool:
    body = {"to": to, "text": text_to(to), "reference": to}
    try:
        answer = await api.call("POST", f"{url}/v1/notifications", body, idempotency_key=to)
    except httpx.TransportError:
        await asyncio.sleep(0.1)
        return False
    if answer.status_code == 202:
        return True
    assert answer.status_code in (409, 503), answer.text
    await asyncio.sleep(0.5)
    return False


def text_to(to: str) -> str:
    """Returns the unique text of the message to a number."""
    return f"For {to[1:]} alone"


async def statuses(database_url: str) -> list[tuple[str, str]]:
    """Returns the number (sent as the reference) and the status of every notification."""
    n = tables.notifications.c
    database = Database(database_url)
    try:
        rows = await database.read(lambda tx: tx.execute(sa.select(n.reference, n.status)).all())
    finally:
        database.close()
    return [(row.reference, row.status) for row in rows]


async def count_abandoned(database_url: str) -> int:
    """How many notifications were left by a process that died while it sent them."""
    n = tables.notifications.c
    database = Database(database_url)
    try:
        counts = sa.select(sa.func.count()).where(n.status == "unknown", n.reason == "abandoned")
        return await database.read(lambda tx: tx.execute(counts).scalar_one())
    finally:
        database.close()


async def all_over(database_url: str, seconds: float = PATIENCE) -> None:
    """Waits until no notification is queued or being sent."""
    database = Database(database_url)
    try:
        async with asyncio.timeout(seconds):
            while await _goes_on(database):
                pass
    finally:
        database.close()


async def _goes_on(database: Database) -> bool:
    await asyncio.sleep(0.2)
    going = sa.select(sa.exists().where(tables.notifications.c.ended_at.is_(None)))
    return bool(await database.read(lambda tx: tx.scalar(going)))


def delivered(vendor: Vendor) -> Counter[str]:
    """Returns how often each text reached a handset."""
    return Counter(message["text"] for message in vendor.messages())
