"""Reads the gateway's list of what people text us and applies each text once (docs/gateway/getMOMessages.md).

The new cursor commits with the effects: nothing is missed or done twice, whichever process dies or reads as well.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy.engine import Connection

from otp_service.gateways.base import InboundMessage, NoReply
from otp_service.observability.metrics import INBOUND
from otp_service.services.context import Context
from otp_service.services.inbound import effects
from otp_service.services.inbound.effects import UnderstoodText
from otp_service.storage import inbound_cursor
from otp_service.storage.inbound_cursor import Cursor

log = structlog.get_logger("otp_service.inbound")

PAGE = 100
MOST_PAGES = 500
"""A longer list is cut there: what is older is given up."""
MOST_PAGES_WITHOUT_NEW = 3
"""Pages in a row that bring nothing new: arriving texts push others to the next page, or the last one is repeated."""
PAGE_TRIES, PAUSE_SECONDS = 5, 0.2
"""How often a page after the first is read, so that a failure does not discard those before it; the pause between."""
PARTS = 10
"""A page that cannot be read is read in so many smaller ones."""
BATCH = 10
"""Texts of one transaction: it must end within the time that the database's watchdog allows on a busy machine."""
RECENT = 300
"""Texts that are remembered as known: a few pages, so that one that shows late among them is found."""


@dataclass(frozen=True)
class _Listed:
    """A text of the list. `fingerprint`: under the writing key; `known`: the cursor's fingerprint of it, or None."""

    fingerprint: str
    known: str | None
    inbound: InboundMessage


async def poll(ctx: Context) -> None:
    """Read and apply what is new in the list, if it is time and no other process does."""
    every = float(ctx.policy.inbound.poll_every)
    if not every or not await ctx.database.read(lambda tx: inbound_cursor.is_due(tx, ctx.clock.now())):
        return
    cursor = await ctx.database.write(lambda tx: inbound_cursor.claim(tx, ctx.clock.now(), every))
    if cursor is None:
        return
    listed = await _read_list(ctx, cursor)
    complete = listed is not None and await _apply(ctx, cursor, listed)
    ended = ctx.clock.now()
    await ctx.database.write(lambda tx: inbound_cursor.end_reading(tx, now=ended, every=every, complete=complete))


async def _read_list(ctx: Context, cursor: Cursor) -> Sequence[_Listed] | None:
    """Return each text from the newest to the known ones, None if the gateway did not answer."""
    known, listed, met, in_vain = frozenset(cursor.recent), dict[str, _Listed](), set[str](), 0
    # Texts known under another key are read on for, since each is renewed when it is met.
    to_renew = {each for each in known if not _is_under_writing_key(ctx, each)}
    for page in range(1, MOST_PAGES + 1):
        texts = await _page_with_retries(ctx, page)
        if texts is None:
            return None
        before = len(listed)
        entries = [_entry(ctx, known, inbound) for inbound in texts]
        for entry in entries:
            listed.setdefault(entry.fingerprint, entry)
        in_vain = in_vain + 1 if len(listed) == before else 0
        met |= {entry.known for entry in entries if entry.known}
        all_known = all(entry.known for entry in entries) and (not texts or to_renew <= met)
        # A short page alone need not be the last: the gateway may have a bound of its own.
        over = met and (len(texts) < PAGE or not any(entry.known for entry in entries))
        if all_known or over or in_vain == MOST_PAGES_WITHOUT_NEW:
            return list(listed.values())
    log.warning("inbound_cut", texts=len(listed))
    return list(listed.values())


def _entry(ctx: Context, known: frozenset[str], inbound: InboundMessage) -> _Listed:
    present, *former = _identities(inbound)
    fingerprint, *others = ctx.vault.fingerprints(present)
    others += [each for identity in former for each in ctx.vault.fingerprints(identity)]
    return _Listed(fingerprint, next((each for each in (fingerprint, *others) if each in known), None), inbound)


def _identities(inbound: InboundMessage) -> list[bytes]:
    """Return what tells a text from others, the same for both forms of its date; then that with the date as written."""
    digits = re.sub(r"\D", "", inbound.sender)
    dates = [inbound.sent]
    if inbound.sent_at is not None:
        sent = datetime.fromtimestamp(inbound.sent_at, UTC).replace(tzinfo=None)
        dates.insert(0, sent.isoformat(" ", "milliseconds"))
    sender = f"+{digits}" if digits else ""
    return [b"mo " + json.dumps([sender, inbound.to, inbound.text, date]).encode() for date in dict.fromkeys(dates)]


def _is_under_writing_key(ctx: Context, fingerprint: str) -> bool:
    """Return whether it is under the writing key. One of another key is written anew as soon as its text is met."""
    return fingerprint.startswith(f"{ctx.vault.writing_key_id}:")


async def _page_with_retries(ctx: Context, page: int) -> Sequence[InboundMessage] | None:
    if page == 1:
        return await _read_page(ctx, page, PAGE)
    for _ in range(PAGE_TRIES):
        # This reading takes longer than most: no other process should begin one.
        seconds = ctx.policy.inbound.poll_every + ctx.gateway_timeout
        await ctx.database.write(partial(inbound_cursor.extend, due_at=ctx.clock.now() + seconds))
        texts = await _read_page(ctx, page, PAGE)
        if texts is not None:
            return texts
        await asyncio.sleep(PAUSE_SECONDS)
    return None


async def _read_page(ctx: Context, page: int, size: int) -> Sequence[InboundMessage] | None:
    """Return a page; if it is unreadable, what smaller pages bring of it: one text must not hold back the others."""
    found = await ctx.gateway.inbound(page, size, ctx.gateway_timeout)
    ctx.gateway_health.record_read("getMOMessages", found)
    if not isinstance(found, NoReply):
        return found
    if found.reason != "unreadable" or size == 1:
        return None
    texts: list[InboundMessage] = []
    unread = 0
    for part in range((page - 1) * PARTS + 1, page * PARTS + 1):
        got = await _read_page(ctx, part, size // PARTS)
        unread += got is None
        if got is None and (size > PARTS or unread == PARTS):
            return None  # that many texts in a row: it is the gateway
        texts += got or []
    log.warning("inbound_unreadable", texts=unread * size // PARTS)
    return texts


async def _apply(ctx: Context, cursor: Cursor, listed: Sequence[_Listed]) -> bool:
    """Apply what is new, oldest first, batch by batch; return False if another process has moved the cursor."""
    renewed = {entry.known: entry.fingerprint for entry in listed if entry.known}
    recent = [renewed.get(each, each) for each in cursor.recent]
    if renewed:  # what was not met under another key is not in the list any more
        recent = [each for each in recent if _is_under_writing_key(ctx, each)]
    new, version = _unknown_entries(listed), cursor.version
    # Without a text, if a new secret key alone has changed the fingerprints.
    for start in range(0, len(new) or int(recent != cursor.recent), BATCH):
        batch = new[start : start + BATCH]
        recent = (recent + [entry.fingerprint for entry, _ in batch])[-RECENT:]
        texts = await asyncio.to_thread(_understand, ctx, batch)
        if not await _apply_batch(ctx, Cursor(version, recent, cursor.list_read_at), texts):
            return False
        version += 1
    return True


def _understand(ctx: Context, batch: Sequence[tuple[_Listed, bool]]) -> list[UnderstoodText]:
    """Return what the texts say. It takes long if all countries are served."""
    return [
        replace(effects.understand(ctx, entry.inbound), is_out_of_order=is_out_of_order)
        for entry, is_out_of_order in batch
    ]


def _unknown_entries(listed: Sequence[_Listed]) -> list[tuple[_Listed, bool]]:
    """Return the texts that are not known, oldest first, and whether each is late: beneath one that is known.

    What is older than all that is known is history.
    """
    known_at = [place for place, entry in enumerate(listed) if entry.known] or [len(listed)]
    newest, oldest = known_at[0], known_at[-1]
    new = [(entry, place > newest) for place, entry in enumerate(listed[:oldest]) if not entry.known]
    return new[::-1]


async def _apply_batch(ctx: Context, cursor: Cursor, batch: Sequence[UnderstoodText]) -> bool:
    """Apply a batch and move the cursor behind it, or neither; return False if another process was there first."""

    def step(tx: Connection) -> Counter[str] | None:
        if not inbound_cursor.move(tx, cursor, due_at=ctx.clock.now() + ctx.policy.inbound.poll_every):
            return None
        return effects.apply_listed(tx, ctx, batch, cursor.list_read_at)

    kinds = await ctx.database.write(step)
    if kinds is None:
        return False
    for kind, count in kinds.items():
        INBOUND.labels(kind, "list").inc(count)
    log.info("inbound", **kinds)
    ctx.wakes.outbox.set()
    return True


async def on_text(ctx: Context, inbound: InboundMessage) -> None:
    """Apply a text that a callback brought: STOP acts at once, the rest when the list shows it, which is read soon."""
    text = await asyncio.to_thread(effects.understand, ctx, inbound)
    every = float(ctx.policy.inbound.poll_every)

    def step(tx: Connection) -> str:
        now = ctx.clock.now()
        if every:
            inbound_cursor.hurry(tx, now, every)
        return effects.apply_callback(tx, ctx, text, now)

    INBOUND.labels(await ctx.database.write(step), "callback").inc()
    ctx.wakes.inbound.set()
