"""Argon2id in kept memory gives what the library gives, and leaves nothing behind."""

import errno
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import low_level
from argon2.exceptions import HashingError
from argon2.low_level import ffi

from otp_service.hashing import argon2_memory
from otp_service.hashing.argon2_memory import hash_secret

COSTS = [(1, 8), (3, 100), (2, 19456), (1, 47104)]


def of_the_library(secret: bytes, salt: bytes, iterations: int, memory_kib: int) -> bytes:
    return low_level.hash_secret(secret, salt, iterations, memory_kib, 1, 32, low_level.Type.ID)


@pytest.mark.parametrize(("iterations", "memory_kib"), COSTS)
def test_it_is_the_string_of_the_library(iterations: int, memory_kib: int) -> None:
    given = (secrets.token_bytes(32), secrets.token_bytes(16), iterations, memory_kib)
    assert hash_secret(*given) == of_the_library(*given)


def test_the_next_hash_of_the_same_cost_is_in_the_same_memory() -> None:
    def regions() -> list[tuple[int, int]]:
        """In a new thread, which begins with none."""
        found = []
        for memory_kib in (64, 64, 256, 64):
            hash_secret(b"secret", b"some salt", 1, memory_kib)
            region = argon2_memory._kept.region
            assert region is not None
            found.append((int(ffi.cast("uintptr_t", region.address)), region.size))
        return found

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(regions).result()
    assert found[0] == found[1]
    assert [size // 1024 for _, size in found] == [64, 64, 256, 64], "of a dearer one nothing is kept"
    assert all(address % argon2_memory._HUGE_PAGE == 0 for address, _ in found)


def test_nothing_is_left_in_it() -> None:
    hash_secret(b"secret", b"some salt", 1, 1024)
    region = argon2_memory._kept.region
    assert region is not None
    assert not any(bytes(ffi.buffer(region.address, region.size)))


def test_threads_at_once_do_not_share_it() -> None:
    given = [(secrets.token_bytes(32), secrets.token_bytes(16)) for _ in range(64)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda each: hash_secret(each[0], each[1], 2, 512), given))
    assert made == [of_the_library(secret, salt, 2, 512) for secret, salt in given]


def test_what_argon2_cannot_do_is_an_error() -> None:
    with pytest.raises(HashingError):
        hash_secret(b"secret", b"short", 1, 8)


def test_memory_that_the_system_does_not_give_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_size: int) -> None:
        raise OSError(errno.ENOMEM, "")

    monkeypatch.setattr(argon2_memory, "_Region", none)
    with ThreadPoolExecutor(1) as thread, pytest.raises(OSError):
        thread.submit(hash_secret, b"secret", b"some salt", 1, 8).result()


def test_without_callbacks_the_library_hashes_in_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as hardened:
        hardened.setattr(argon2_memory, "ffi", SimpleNamespace(callback=forbidden))
        assert argon2_memory._callbacks() is None
    monkeypatch.setattr(argon2_memory, "_CALLBACKS", None)
    given = (b"secret", b"some salt", 1, 64)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(hash_secret, *given).result() == of_the_library(*given)
        assert thread.submit(lambda: argon2_memory._kept.region).result() is None


ENDS_WHILE_IT_HASHES = """
import threading, time
from otp_service.argon2_memory import hash_secret

def hashes():
    try:
        while True:
            hash_secret(b"p" * 32, b"s" * 16, 1, 64)
    except RuntimeError:
        pass

for _ in range(4):
    threading.Thread(target=hashes, daemon=True).start()
time.sleep(0.005)
"""


def test_a_process_may_end_while_its_threads_hash() -> None:
    for _ in range(6):
        done = subprocess.run([sys.executable, "-c", ENDS_WHILE_IT_HASHES], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_where_it_is_told_of_no_memory_argon2_says_so() -> None:
    memory = ffi.new("uint8_t **")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(argon2_memory._take, memory, 8).result()
    assert memory[0] == ffi.NULL
