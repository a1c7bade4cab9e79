"""Argon2id in memory that each thread keeps: on the lines of the cache and, where the system has them, in huge pages.

What `malloc` gives begins in the middle of a cache line and is scattered over thousands of pages: a hash takes some
twentieth longer there (docs/performance.md).
"""

import base64
import mmap
import threading
from contextlib import suppress
from typing import Any

from argon2.exceptions import HashingError
from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi

_HUGE_PAGE = 2 * 1024 * 1024
_OK = 0
_NO_MEMORY = -22
"""ARGON2_MEMORY_ALLOCATION_ERROR of argon2.h."""


class _Region:
    """One thread's memory. `address`: the first byte of it that begins a huge page."""

    def __init__(self, size: int) -> None:
        self.size = size
        whole = mmap.mmap(-1, size + _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(AttributeError, OSError):  # a system without them
            whole.madvise(mmap.MADV_HUGEPAGE)
        self._held = ffi.from_buffer(whole)
        begin = int(ffi.cast("uintptr_t", self._held))
        self.address = ffi.cast("uint8_t *", -(-begin // _HUGE_PAGE) * _HUGE_PAGE)


class _Kept(threading.local):
    region: _Region | None = None

    def at_least(self, size: int) -> None:
        """Makes room for a hash of this thread. Raises OSError where the system has no memory."""
        if self.region is None or self.region.size < size:
            self.region = _Region(size)


_kept = _Kept()


def hash_secret(secret: bytes, salt: bytes, iterations: int, memory_kib: int, hash_bytes: int) -> bytes:
    """The PHC string of Argon2id (RFC 9106) with one lane, as of `argon2.low_level.hash_secret`.

    Argon2 wipes the memory before it gives it back. Raises HashingError, and OSError where there is no memory.
    """
    _kept.at_least(memory_kib * 1024)
    out = ffi.new("uint8_t[]", hash_bytes)
    context = ffi.new("argon2_context *")
    context.out, context.outlen = out, hash_bytes
    context.pwd, context.pwdlen = ffi.from_buffer("uint8_t[]", secret), len(secret)
    context.salt, context.saltlen = ffi.from_buffer("uint8_t[]", salt), len(salt)
    context.t_cost, context.m_cost, context.lanes, context.threads = iterations, memory_kib, 1, 1
    context.version = ARGON2_VERSION
    context.allocate_cbk, context.free_cbk = _take, _give_back
    if status := core(context, Type.ID.value):
        raise HashingError(error_to_str(status))
    head = f"$argon2id$v={ARGON2_VERSION}$m={memory_kib},t={iterations},p=1$"
    return head.encode() + _encoded(salt) + b"$" + _encoded(bytes(out))


def _encoded(value: bytes) -> bytes:
    return base64.b64encode(value).rstrip(b"=")


@ffi.callback("int(uint8_t **, size_t)")  # type: ignore[untyped-decorator]
def _take(memory: Any, size: int) -> int:
    region = _kept.region
    if region is None or region.size < size:
        return _NO_MEMORY
    memory[0] = region.address
    return _OK


@ffi.callback("void(uint8_t *, size_t)")  # type: ignore[untyped-decorator]
def _give_back(_memory: Any, _size: int) -> None:
    """It is kept for the next one."""
