"""Whose factors a change is about."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """A subject of a client. `id`: of its row, which a change of factors locks first."""

    client_id: str
    subject: str
    id: int
