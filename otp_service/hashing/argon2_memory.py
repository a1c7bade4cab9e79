"""Argon2id in memory that each thread keeps: on the lines of the cache and, where the system has them, in huge pages.

What `malloc` gives begins in the middle of a cache line and is scattered over thousands of pages: a hash takes some
twentieth longer there (docs/performance.md).
"""

import atexit
import base64
import mmap
import threading
from contextlib import suppress
from typing import Any

from argon2 import Type, low_level
from argon2.exceptions import HashingError
from argon2.low_level import ARGON2_VERSION, core, error_to_str, ffi

HASH_BYTES = 32
_HUGE_PAGE = 2 * 1024 * 1024


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

    def make_room(self, size: int) -> None:
        """For the next hash of this thread, and no more: a dearer one may have been the last of its kind. Raises
        OSError where the system has no memory."""
        if self.region is None or self.region.size != size:
            self.region = None
            self.region = _Region(size)


_kept = _Kept()


class _UnderWay:
    """Counts the hashes. The process must not end under one: the memory that Argon2 writes to would be gone, and the
    interpreter that the callbacks need."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._ends = False

    def __enter__(self) -> None:
        with self._changed:
            if self._ends:
                raise RuntimeError("no hash begins when the process ends")
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Waits for what is under way, whatever signals come meanwhile; nothing begins any more."""
        while True:
            with suppress(BaseException), self._changed:
                self._ends = True
                self._changed.wait_for(lambda: not self._count)
                return


_under_way = _UnderWay()
atexit.register(_under_way.end)


def hash_secret(secret: bytes, salt: bytes, iterations: int, memory_kib: int) -> bytes:
    """The PHC string of RFC 9106, version 19 with one lane: what `argon2.low_level.hash_secret` gives.

    Argon2 wipes the memory before it gives it back. Raises HashingError, OSError where there is no memory, and
    RuntimeError where the process ends.
    """
    if _CALLBACKS is None:
        return without_keeping(secret, salt, iterations, memory_kib)
    _kept.make_room(memory_kib * 1024)
    out = ffi.new("uint8_t[]", HASH_BYTES)
    context = ffi.new("argon2_context *")
    context.out, context.outlen = out, HASH_BYTES
    # A pointer in the context keeps nothing alive: the arguments do, and bytes do not move.
    context.pwd, context.pwdlen = ffi.from_buffer("uint8_t[]", secret), len(secret)
    context.salt, context.saltlen = ffi.from_buffer("uint8_t[]", salt), len(salt)
    context.t_cost, context.m_cost, context.lanes, context.threads = iterations, memory_kib, 1, 1
    context.version = ARGON2_VERSION
    context.allocate_cbk, context.free_cbk = _CALLBACKS
    with _under_way:
        status = core(context, Type.ID.value)
    if status:
        raise HashingError(error_to_str(status))
    head = f"$argon2id$v={ARGON2_VERSION}$m={memory_kib},t={iterations},p=1$"
    return head.encode() + _encoded(salt) + b"$" + _encoded(bytes(out))


def without_keeping(secret: bytes, salt: bytes, iterations: int, memory_kib: int) -> bytes:
    """The same in memory of the library's own."""
    return low_level.hash_secret(secret, salt, iterations, memory_kib, 1, HASH_BYTES, Type.ID)


def _encoded(value: bytes) -> bytes:
    return base64.b64encode(value).rstrip(b"=")


def _take(memory: Any, _size: int) -> int:
    # Argon2 looks at the pointer alone: where none is written there, it has no memory.
    if _kept.region is not None:
        memory[0] = _kept.region.address
    return 0


def _keep(_memory: Any, _size: int) -> None:
    """The next hash has it."""


def _callbacks() -> tuple[Any, Any] | None:
    """None where the system forbids the code that they need, as some hardened ones do."""
    try:
        return ffi.callback("int(uint8_t **, size_t)", _take), ffi.callback("void(uint8_t *, size_t)", _keep)
    except MemoryError:
        return None


_CALLBACKS = _callbacks()
