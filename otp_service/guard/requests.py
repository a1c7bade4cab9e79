"""What the guard knows of a message that a client asks for."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One message. `number`: in E.164; `address`: of the user, IPv6 cut to its /64; `subject`: "" if unknown."""

    at: float
    """Seconds since the epoch."""
    client: str
    number: str = field(repr=False)
    country: str
    """ISO 3166 region of the number."""
    address: str | None = field(repr=False)
    subject: str = field(default="", repr=False)
