"""Which build of Argon2 runs, read from what pip left of its wheel and from what Linux tells of the processor."""

from pathlib import Path

import pytest

from otp_service.hashing import argon2_build


@pytest.mark.parametrize(
    ("tags", "of_the_index"),
    [
        ("Tag: cp310-abi3-manylinux_2_26_x86_64\nTag: cp310-abi3-manylinux_2_28_x86_64\n", True),
        ("Tag: cp310-abi3-musllinux_1_2_aarch64\n", True),
        ("Tag: cp310-abi3-linux_x86_64\n", False),
        (None, False),
    ],
)
def test_a_wheel_that_any_linux_may_install_is_the_indexs(
    tags: str | None, of_the_index: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "argon2_cffi_bindings-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: argon2-cffi-bindings\nVersion: 1.0\n")
    if tags is not None:
        (installed / "WHEEL").write_text(f"Wheel-Version: 1.0\n{tags}")
    monkeypatch.syspath_prepend(tmp_path)
    assert argon2_build.of_the_index() is of_the_index


def test_the_processor_is_asked_for_avx2(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert not argon2_build.has_avx2(cpuinfo)
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx\n")
    assert not argon2_build.has_avx2(cpuinfo)
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx avx2 avx512f\n")
    assert argon2_build.has_avx2(cpuinfo)
