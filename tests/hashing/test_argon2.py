"""Which build of Argon2 runs, on which processor, and with which malloc."""

import platform
from pathlib import Path

import pytest
from argon2 import low_level

from otp_service.hashing import argon2


@pytest.mark.parametrize(
    ("tags", "is_index_build"),
    [
        ("Tag: cp310-abi3-manylinux_2_26_x86_64\nTag: cp310-abi3-manylinux_2_28_x86_64\n", True),
        ("Tag: cp310-abi3-musllinux_1_2_aarch64\n", True),
        ("Tag: cp310-abi3-linux_x86_64\n", False),
        (None, False),
    ],
)
def test_a_wheel_that_any_linux_may_install_is_the_index_build(
    tags: str | None, is_index_build: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "argon2_cffi_bindings-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: argon2-cffi-bindings\nVersion: 1.0\n")
    if tags is not None:
        (installed / "WHEEL").write_text(f"Wheel-Version: 1.0\n{tags}")
    monkeypatch.syspath_prepend(tmp_path)
    assert argon2.is_index_build() is is_index_build


def test_the_processor_is_asked_for_avx2(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert not argon2.has_avx2(cpuinfo)
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx\n")
    assert not argon2.has_avx2(cpuinfo)
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx avx2 avx512f\n")
    assert argon2.has_avx2(cpuinfo)


@pytest.mark.parametrize(
    ("libc", "tunables", "tuned"),
    [
        ("glibc", "", False),
        ("glibc", "glibc.malloc.arena_max=1", False),
        ("glibc", "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1", True),
        ("", "", True),
    ],
)
def test_malloc_of_glibc_is_tuned_by_its_environment(
    libc: str, tunables: str, tuned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2.36"))
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    assert argon2.is_malloc_tuned() is tuned


def test_a_hash_is_a_phc_string_of_argon2id_that_the_library_verifies() -> None:
    made = argon2.argon2id(b"secret", b"some salt", 1, 64)
    assert made.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert low_level.verify_secret(made.encode(), b"secret", low_level.Type.ID)
