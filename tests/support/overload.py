"""A service without a place for more work."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from otp_service.hashing.admission import Admission, Rank, Ticket


@contextmanager
def full(admission: Admission, *ranks: Rank) -> Iterator[None]:
    """Two clients have the only place of each rank: a third gets none."""
    most = admission.most
    admission.most = most | dict.fromkeys(ranks, 1)
    with ExitStack() as stack:
        for rank in ranks:
            for client in ("a", "b"):
                stack.enter_context(admission.place(Ticket(rank, client)))
        yield
    admission.most = most
