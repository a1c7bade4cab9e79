"""A full hash queue."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from otp_service.errors import Refusal
from otp_service.hashing.queue import HashQueue, Kind, Ticket


@contextmanager
def full(queue: HashQueue, *kinds: Kind) -> Iterator[None]:
    """Fills the queue: hashes seem slow, and other clients hold every place of these kinds."""
    seconds, queue._seconds_per_hash = queue._seconds_per_hash, 10.0
    with ExitStack() as stack:
        for kind in kinds:
            try:
                for number in itertools.count():
                    stack.enter_context(queue.admit(Ticket(kind, f"client {number}")))
            except Refusal:
                continue
        yield
    queue._seconds_per_hash = seconds
