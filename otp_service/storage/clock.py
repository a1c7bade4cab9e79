"""The table `timekeeping`: SQLite's time, the same for every process of the machine, and never before what it was.

The wall clock counts once after each boot; from then on elapsed time does, which all processes share. So a wall clock
that is set back, or two processes that started either side of such a jump, let no PIN live longer.
"""

from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from otp_service.database.statements import insert_into
from otp_service.storage.tables import buckets, failures, inbound_cursor, sweep_turn, timekeeping

t = timekeeping.c
_ONLY = 1


def boot() -> str | None:
    """What elapsed time is counted from: this boot of this machine; None where the system does not tell."""
    with suppress(OSError):
        namespace = Path("/proc/self/ns/time").readlink()  # a container can have an elapsed time of its own
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {namespace}"
    return None


def keep(tx: Connection, *, of_boot: str | None, wall: float, elapsed: float, mine: float | None = None) -> float:
    """The anchor: what to add to the elapsed seconds. Notes how late it is.

    `mine`: the process's own, which counts where the system does not tell the boot.
    """
    row = tx.execute(sa.select(t.boot, t.anchor, t.seen)).first()
    if row is not None and of_boot is not None and row.boot == of_boot:
        anchor = float(row.anchor)
    elif of_boot is None and mine is not None:
        anchor = mine
    else:
        anchor = max(wall, row.seen if row is not None else wall) - elapsed
    now = {"boot": of_boot, "anchor": anchor, "seen": anchor + elapsed}
    insert = insert_into(tx, timekeeping).values(id=_ONLY, **now)
    tx.execute(insert.on_conflict_do_update(index_elements=[t.id], set_=now))
    return anchor


def forget(tx: Connection) -> None:
    """The next process takes the time anew, from the wall clock."""
    tx.execute(sa.delete(timekeeping))


def repair(tx: Connection, now: float) -> None:
    """Mends what was noted while the time was ahead of `now`: turns that come too late, waits that last too long."""
    for table in (sweep_turn, inbound_cursor):
        tx.execute(sa.update(table).where(table.c.due_at > now).values(due_at=now))
    f, b = failures.c, buckets.c
    shorter = {"waits_until": f.waits_until - (f.last_at - now), "last_at": now}
    tx.execute(sa.update(failures).where(f.last_at > now).values(shorter))
    # No bucket that was filled in time is empty for longer.
    tx.execute(sa.delete(buckets).where(b.arrival > now + b.tolerance + b.interval))
