"""What people text us: the gateway's list is read, and each text has its effect once (docs/gateway.md).

The new cursor commits with the effects: nothing is missed or done twice, whoever dies or reads at the same time.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.engine import Connection

from otp_service.gateways.base import Inbound, NoReply
from otp_service.observability.metrics import INBOUND
from otp_service.services.context import Context
from otp_service.services.inbound import effects
from otp_service.services.inbound.effects import InboundText
from otp_service.storage import inbound_cursor
from otp_service.storage.inbound_cursor import Cursor

log = structlog.get_logger("otp_service.inbound")

PAGE = 100
MOST_PAGES = 500
"""A list that goes on for longer is cut there: what is older is given up."""
MOST_IN_VAIN = 3
"""Pages in a row that bring nothing new: arriving texts push others to the next page, or the last one is repeated."""
PARTS, MOST_UNREAD = 10, 3
"""A page that cannot be read is read in so many smaller ones, and given up where more of them cannot be read either."""
BATCH = 50
RECENT = 300
"""Texts that are remembered as known: a few pages, so that one that shows late among them is found."""


@dataclass(frozen=True)
class _New:
    """A text that is not known. `fingerprint`: under the writing key."""

    fingerprint: str
    word: InboundText

    def late(self) -> "_New":
        """The same, which shows beneath texts that had their effects: what it lifts, a newer one may have said."""
        return replace(self, word=replace(self.word, is_late=True))


@dataclass
class _Walk:
    """What a look at the list has found so far, newest first.

    `known`: fingerprints of the cursor, under whatever key; `renewed`: those of them that were met, under the writing
    key. `held_back`: stands after a known text, and is new if another known one follows.
    """

    known: frozenset[str]
    new: list[_New] = field(default_factory=list)
    held_back: list[_New] = field(default_factory=list)
    renewed: dict[str, str] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def take(self, ctx: Context, inbound: Inbound) -> bool:
        """Takes the next text; whether it is known."""
        fingerprint, *others = ctx.vault.fingerprints(_identity(inbound))
        known = next((each for each in (fingerprint, *others) if each in self.known), None)
        if known is not None:
            self.renewed[known] = fingerprint
            self.new += [each.late() for each in self.held_back]
            self.held_back = []
        elif fingerprint not in self.met:
            (self.held_back if self.renewed else self.new).append(_New(fingerprint, effects.understood(inbound)))
        self.met.add(fingerprint)
        return known is not None


def _identity(inbound: Inbound) -> bytes:
    return b"mo " + json.dumps([inbound.sender, inbound.to, inbound.text, inbound.sent]).encode()


async def poll(ctx: Context) -> bool:
    """Reads what is new in the list, if it is time and nobody else does, and lets it have its effects; False."""
    every = float(ctx.policy.inbound.poll_every)
    if not every or not await ctx.database.read(lambda tx: inbound_cursor.is_due(tx, ctx.clock.now())):
        return False
    cursor = await ctx.database.write(lambda tx: inbound_cursor.claim(tx, ctx.clock.now(), every))
    if cursor is None:
        return False
    walk = await _walk(ctx, cursor)
    complete = walk is not None and await _apply(ctx, cursor, walk)
    ended = ctx.clock.now()
    await ctx.database.write(lambda tx: inbound_cursor.end_look(tx, now=ended, every=every, complete=complete))
    return False


async def _walk(ctx: Context, cursor: Cursor) -> _Walk | None:
    """From the newest text to the known ones; None where the gateway did not answer."""
    walk, in_vain = _Walk(frozenset(cursor.recent)), 0
    others = {each for each in cursor.recent if not _is_ours(ctx, each)}
    for page in range(1, MOST_PAGES + 1):
        texts = await _page(ctx, page)
        if texts is None:
            return None
        met = len(walk.met)
        known = [walk.take(ctx, inbound) for inbound in texts]
        in_vain = in_vain + 1 if len(walk.met) == met else 0
        # A short page alone need not be the last: the gateway may have a bound of its own.
        over = walk.renewed and (len(texts) < PAGE or not any(known))
        all_known = all(known) and (not texts or others <= walk.renewed.keys())
        if all_known or over or in_vain == MOST_IN_VAIN:
            return walk
    log.warning("inbound_cut", texts=len(walk.new))
    return walk


def _is_ours(ctx: Context, fingerprint: str) -> bool:
    """Whether it is under the writing key. One of another key is written anew as soon as its text is met."""
    return fingerprint.startswith(f"{ctx.vault.writing_key_id}:")


async def _page(ctx: Context, page: int) -> Sequence[Inbound] | None:
    if page > 1:  # it takes longer than most: nobody else should begin
        until = ctx.clock.now() + ctx.policy.inbound.poll_every + ctx.gateway_timeout
        await ctx.database.write(lambda tx: inbound_cursor.extend(tx, until))
    return await _texts(ctx, page, PAGE)


async def _texts(ctx: Context, page: int, size: int) -> Sequence[Inbound] | None:
    """A page; where it cannot be read, in smaller ones: one odd text must not hold back everybody's."""
    found = await ctx.gateway.inbound(page, size, ctx.gateway_timeout)
    ctx.gateway_health.record_read("getMOMessages", found.reason if isinstance(found, NoReply) else "ok")
    if not isinstance(found, NoReply):
        return found
    if found.reason != "unreadable" or size == 1:
        return None
    texts: list[Inbound] = []
    unread = 0
    for part in range((page - 1) * PARTS + 1, page * PARTS + 1):
        got = await _texts(ctx, part, size // PARTS)
        unread += got is None
        if unread > MOST_UNREAD:
            return None  # it is not a text, it is the gateway
        texts += got or []
    log.warning("inbound_unreadable", texts=unread * size // PARTS)
    return texts


async def _apply(ctx: Context, cursor: Cursor, walk: _Walk) -> bool:
    """The effects, oldest first, batch by batch; False where another has moved the cursor."""
    recent = [walk.renewed.get(each, each) for each in cursor.recent]
    if walk.renewed:  # what was not met under another key is not in the list any more
        recent = [each for each in recent if _is_ours(ctx, each)]
    new, version = walk.new[::-1], cursor.version
    # Without a text, where a new secret key alone has changed the fingerprints.
    for start in range(0, len(new) or int(recent != cursor.recent), BATCH):
        batch = new[start : start + BATCH]
        recent = (recent + [each.fingerprint for each in batch])[-RECENT:]
        if not await _apply_batch(ctx, Cursor(version, recent, cursor.looked_at), batch):
            return False
        version += 1
    return True


async def _apply_batch(ctx: Context, cursor: Cursor, batch: list[_New]) -> bool:
    """The effects of a batch and the cursor after it, or neither; False where another was there first."""

    def step(tx: Connection) -> Counter[str] | None:
        if not inbound_cursor.move(tx, cursor, due_at=ctx.clock.now() + ctx.policy.inbound.poll_every):
            return None
        return effects.apply_all(tx, ctx, [each.word for each in batch], cursor.looked_at)

    kinds = await ctx.database.write(step)
    if kinds is None:
        return False
    for kind, count in kinds.items():
        INBOUND.labels(kind, "list").inc(count)
    log.info("inbound", **kinds)
    ctx.wakes.outbox.set()
    return True


async def on_text(ctx: Context, inbound: Inbound) -> None:
    """A callback brought a text: STOP acts at once; what else counts is the list, which is read soon."""
    word = effects.understood(inbound)
    every = float(ctx.policy.inbound.poll_every)

    def step(tx: Connection) -> str:
        now = ctx.clock.now()
        if every:
            inbound_cursor.hurry(tx, now, every)
        return effects.apply_callback(tx, ctx, word, now)

    INBOUND.labels(await ctx.database.write(step), "callback").inc()
    ctx.wakes.inbound.set()
