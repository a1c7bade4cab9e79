"""Argon2id in kept memory gives what the library gives, and leaves nothing behind."""

import errno
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2.exceptions import HashingError
from argon2.low_level import Type, ffi
from argon2.low_level import hash_secret as of_the_library

from otp_service import argon2_memory
from otp_service.argon2_memory import hash_secret

COSTS = [(1, 8, 32), (3, 100, 16), (2, 19456, 32), (1, 47104, 64)]


@pytest.mark.parametrize(("iterations", "memory_kib", "hash_bytes"), COSTS)
def test_it_is_the_string_of_the_library(iterations: int, memory_kib: int, hash_bytes: int) -> None:
    secret, salt = secrets.token_bytes(32), secrets.token_bytes(16)
    made = hash_secret(secret, salt, iterations, memory_kib, hash_bytes)
    assert made == of_the_library(secret, salt, iterations, memory_kib, 1, hash_bytes, Type.ID)


def test_the_next_hash_is_in_the_same_memory_and_a_larger_one_in_more() -> None:
    def regions() -> list[int]:
        """In a new thread, which begins with none."""
        found = []
        for memory_kib in (64, 64, 32, 256, 64):
            hash_secret(b"secret", b"some salt", 1, memory_kib, 32)
            region = argon2_memory._kept.region
            assert region is not None
            found.append(int(ffi.cast("uintptr_t", region.address)))
        return found

    with ThreadPoolExecutor(1) as thread:
        first, second, smaller, larger, later = thread.submit(regions).result()
    assert first == second == smaller
    assert larger == later
    assert first % argon2_memory._HUGE_PAGE == larger % argon2_memory._HUGE_PAGE == 0


def test_nothing_is_left_in_it() -> None:
    hash_secret(b"secret", b"some salt", 1, 1024, 32)
    region = argon2_memory._kept.region
    assert region is not None
    assert not any(bytes(ffi.buffer(region.address, region.size)))


def test_threads_at_once_do_not_share_it() -> None:
    given = [(secrets.token_bytes(32), secrets.token_bytes(16)) for _ in range(64)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda each: hash_secret(each[0], each[1], 2, 512, 32), given))
    assert made == [of_the_library(secret, salt, 2, 512, 1, 32, Type.ID) for secret, salt in given]


def test_what_argon2_cannot_do_is_an_error() -> None:
    with pytest.raises(HashingError):
        hash_secret(b"secret", b"short", 1, 8, 32)


def test_memory_that_the_system_does_not_give_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_size: int) -> None:
        raise OSError(errno.ENOMEM, "")

    monkeypatch.setattr(argon2_memory, "_Region", none)
    with ThreadPoolExecutor(1) as thread, pytest.raises(OSError):
        thread.submit(hash_secret, b"secret", b"some salt", 1, 8, 32).result()
