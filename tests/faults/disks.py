"""Small disks that can be filled. Each is a tmpfs, if this account may mount one."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Disk:
    """A mounted disk. `path` is its root."""

    path: Path

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def fill(self) -> None:
        """Fills the disk."""
        with self._filler.open("wb") as file:
            while free := os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)

    def free(self) -> None:
        """Removes what `fill` wrote."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int, owner: dict[str, Any]) -> Iterator[Disk]:
    """Yields a disk of that size, owned by an account as in `postgres.account`. Skips if none can be mounted."""
    with tempfile.TemporaryDirectory(prefix="otp-disk-") as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "disk"
        path.mkdir()
        options = f"size={megabytes}m,mode=0700,uid={owner.get('user', 0)},gid={owner.get('group', 0)}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip("a full disk needs one of its own, and this account may not mount one")
        try:
            yield Disk(path)
        finally:
            subprocess.run(["umount", "--lazy", path], check=True)
