"""Counts what was sent, blocked, given back and approved in the guard's rows, in batches a moment later.

All changes of a process that wait are counted in one transaction, so that rows which many requests share are locked
for a moment only. If the process dies, what waits is lost: the guard has seen a few messages less.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.engine import Connection

from otp_service.database.statements import AnyRow
from otp_service.errors import Unavailable
from otp_service.guard import counting
from otp_service.guard.keys import Key
from otp_service.guard.rows import Row
from otp_service.services.context import Context
from otp_service.services.guard import keys
from otp_service.services.guard.state import Approval, Change
from otp_service.storage.guard import decisions, known_people, messages
from otp_service.storage.guard import rows as stored_rows

BATCH = 50
PERIOD_SECONDS = 0.2
"""Between batches: what rows cost is shared by the messages of that time, and a burst is seen this late."""


async def work(ctx: Context) -> bool:
    """Count what waits; return True if more is left."""
    counts = ctx.guard_counts
    batch = counts.waiting[:BATCH]
    if not batch:
        return False
    try:
        await ctx.database.write(lambda tx: _count(tx, ctx, batch))
    except Unavailable:
        raise  # it waits
    except Exception:
        del counts.waiting[: len(batch)]  # one odd row must not keep everything else from being counted
        raise
    del counts.waiting[: len(batch)]
    return bool(counts.waiting)


def _count(tx: Connection, ctx: Context, batch: Sequence[Change | Approval]) -> None:
    of_approvals = _record_approvals(tx, batch)
    keys_by_text = {text: key for keys_of_one in of_approvals.values() for text, key in keys_of_one.items()}
    changes = [each for each in batch if isinstance(each, Change)]
    keys_by_text |= {text: key for each in changes for text, key in each.keyed.keys.items()}
    # Only a message may begin rows: a blocked request must not add any.
    begun = {text: key for each in changes if each.apply is counting.sent for text, key in each.keyed.keys.items()}
    empty = [keys.stored_row(key, text, Row()) for text, key in begun.items()]
    stored_rows.insert_missing(tx, empty, ctx.clock.now())
    rows = _Rows(tx, keys_by_text)
    for each in batch:
        if isinstance(each, Change):
            rows.change(each)
        elif each.verification_id in of_approvals:
            rows.approve(of_approvals[each.verification_id], each.at)
    rows.write(ctx.clock.now())


def _record_approvals(tx: Connection, batch: Sequence[Change | Approval]) -> dict[str, dict[str, Key]]:
    """Record what approvals say about people and decisions; return the stored keys of their newest message."""
    approvals = {each.verification_id: each for each in batch if isinstance(each, Approval)}
    found = {}
    for row in messages.screened(tx, list(approvals)) if approvals else ():
        approval = approvals[row.verification_id]
        _record_approval(tx, approval, row)
        if row.guard_keys:
            found[row.verification_id] = {text: keys.key_of_kind(text) for text in row.guard_keys.split("\n")}
    return found


def _record_approval(tx: Connection, approval: Approval, row: AnyRow) -> None:
    client_id, at = approval.client_id, approval.at
    if row.pseudonym is not None:
        decisions.approve(tx, pseudonym=row.pseudonym, client_id=client_id, at=at)
    if row.number_id is not None and row.subject is not None:  # it may have been erased since the approval
        known_people.record(tx, number_id=row.number_id, client_id=client_id, subject=row.subject, at=at)


class _Rows:
    """The rows of a batch, locked, as they change. `keys_by_text`: what is known of each key, by its stored form."""

    def __init__(self, tx: Connection, keys_by_text: Mapping[str, Key]) -> None:
        self._tx, self._keys_by_text = tx, keys_by_text
        states = stored_rows.lock_all(tx, keys_by_text)
        self._rows = {text: keys.parse_row(state) for text, state in states.items()}
        self._changed: set[str] = set()

    def change(self, change: Change) -> None:
        """Count what happened to a request in its rows."""
        of_request = change.keyed.keys
        self._replace(of_request, change.apply(change.keyed.request, self._of(of_request)))

    def approve(self, of_message: Mapping[str, Key], at: float) -> None:
        """Count an approval in the rows of its message that exist."""
        self._replace(of_message, counting.approved(at, self._of(of_message)))

    def _of(self, keys_by_text: Mapping[str, Key]) -> dict[Key, Row]:
        return {key: self._rows[text] for text, key in keys_by_text.items() if text in self._rows}

    def _replace(self, keys_by_text: Mapping[str, Key], changed: Mapping[Key, Row]) -> None:
        for text, key in keys_by_text.items():
            if key in changed:
                self._rows[text] = changed[key]
                self._changed.add(text)

    def write(self, now: float) -> None:
        """Store the rows that changed."""
        changed = [keys.stored_row(self._keys_by_text[text], text, self._rows[text]) for text in self._changed]
        stored_rows.write(self._tx, changed, now)
