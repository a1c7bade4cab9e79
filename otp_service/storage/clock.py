"""The database's time: PostgreSQL's own, and for SQLite the table `timekeeping`.

On SQLite all processes of the machine share one time, which never goes back. The wall clock is read once after each
boot; after that elapsed time counts, which all processes share. So no PIN lives longer because the wall clock was set
back, or because two processes started before and after such a jump.
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
    """Return what elapsed time is counted from: this boot of this machine. None if the system does not say."""
    with suppress(OSError):
        namespace = Path("/proc/self/ns/time").readlink()  # a container can have an elapsed time of its own
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {namespace}"
    return None


def server_time(tx: Connection) -> float:
    """Return PostgreSQL's time, in seconds since the epoch."""
    return float(tx.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")) or 0.0)


def keep(tx: Connection, *, of_boot: str | None, wall: float, elapsed: float, mine: float | None = None) -> float:
    """Return the anchor, which is what to add to the elapsed seconds, and record the present time.

    `mine` is this process's anchor so far. It counts if the system does not identify the boot.
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
    """Forget the time: the next process reads the wall clock again."""
    tx.execute(sa.delete(timekeeping))


def repair(tx: Connection, now: float) -> None:
    """Repair what was recorded while the time was ahead of `now`: late turns, long waits."""
    for table in (sweep_turn, inbound_cursor):
        tx.execute(sa.update(table).where(table.c.due_at > now).values(due_at=now))
    f, b = failures.c, buckets.c
    shorter = {"waits_until": f.waits_until - (f.last_at - now), "last_at": now}
    tx.execute(sa.update(failures).where(f.last_at > now).values(shorter))
    # A bucket filled before `now` is full again by then.
    tx.execute(sa.delete(buckets).where(b.arrival > now + b.tolerance + b.interval))
