"""A hash queue that has no place left."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from otp_service.errors import Refusal
from otp_service.hashing.queue import HashQueue, Kind, Ticket


@contextmanager
def full(queue: HashQueue, *kinds: Kind) -> Iterator[None]:
    """Hashes seem to take so long that nobody may wait, and other clients have taken every place of these kinds."""
    seconds, queue._seconds = queue._seconds, 10.0
    with ExitStack() as stack:
        for kind in kinds:
            try:
                for number in itertools.count():
                    stack.enter_context(queue.admit(Ticket(kind, f"client {number}")))
            except Refusal:
                continue
        yield
    queue._seconds = seconds
