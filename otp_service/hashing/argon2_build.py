"""Which build of Argon2 runs: the package index's is made for every processor and leaves part of this one unused."""

from importlib.metadata import distribution
from pathlib import Path

_OF_THE_INDEX = ("manylinux", "musllinux")
"""In the tags of a wheel that any Linux may install; one built on this machine has `linux_x86_64` or the like."""


def of_the_index() -> bool:
    """Whether the library is the package index's own."""
    wheel = distribution("argon2-cffi-bindings").read_text("WHEEL") or ""
    return any(tag in wheel for tag in _OF_THE_INDEX)


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor has what a build for any x86-64 leaves unused; False where nothing tells."""
    try:
        return "avx2" in cpuinfo.read_text().split()
    except OSError:
        return False
