"""As many hash threads as there are cores to pay for."""

import os
from pathlib import Path

import pytest

from otp_service.hashing.cores import usable_cores

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", ALLOWED),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("6400000 100000", ALLOWED),
        ("nonsense", ALLOWED),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(tmp_path / "cpu.max") == min(cores, ALLOWED)


def test_without_a_container_it_is_the_cores_that_are_allowed(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "cpu.max") == ALLOWED
