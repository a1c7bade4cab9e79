"""Standard output as the log's lines go to it: written by a thread, together, so that nobody waits for its reader."""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

GATHERED_SECONDS = 0.05
"""A system call per line costs more than the line."""
URGENT_SECONDS = 0.05
"""A warning is written at once, and whoever logs it waits for that, unless nobody reads."""
CLOSE_SECONDS = 1.0
"""The end of the process waits no longer for a reader."""
MOST_LINES = 20_000
"""Where nobody reads for long, the oldest lines are lost and not the memory."""


class LogOutput:
    """`at_once`: every line is written by whoever logs it, for those who look for the cause of a crash."""

    def __init__(self, stream: TextIO, *, at_once: bool) -> None:
        self._write = _writer(stream)
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._changed = threading.Condition()
        self._taken = self._written = 0
        self._some, self._urgent = threading.Event(), threading.Event()
        self._closed = at_once
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        if not at_once:
            self._thread.start()

    def take(self, line: str, *, urgent: bool) -> None:
        """Writes a line, soon."""
        with self._changed:
            self._lines.append(line)
            self._taken += 1
            mine = self._taken
        if self._closed:
            self._write_all()
            return
        if urgent:
            self._urgent.set()
        if not self._some.is_set():
            self._some.set()
        if urgent:
            with self._changed:
                self._changed.wait_for(lambda: self._written >= mine, URGENT_SECONDS)

    def close(self) -> None:
        """Writes the rest and ends the thread; what is taken from now on is written at once."""
        self._closed = True
        self._urgent.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closed:
            self._some.wait()
            self._urgent.wait(GATHERED_SECONDS)
            self._urgent.clear()
            self._some.clear()
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        with self._changed:
            gathered, upto = list(self._lines), self._taken
            self._lines.clear()
        if gathered:
            with suppress(Exception):  # where standard output is gone, or closed
                self._write("\n".join(gathered) + "\n")
        with self._changed:
            self._written = max(self._written, upto)
            self._changed.notify_all()


def _writer(stream: TextIO) -> Callable[[str], None]:
    """Past Python's buffer where there is a file: the end of the process waits for its lock, and a thread that writes
    to a pipe which nobody reads would hold it for ever."""
    try:
        file = os.dup(stream.fileno())
    except (OSError, ValueError):  # no file, as in some tests
        return lambda text: _write_flushed(stream, text)
    return lambda text: _write_all(file, text.encode())


def _write_flushed(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


class StructuredLogger:
    """What structlog hands a rendered line to, by the name of its level."""

    def __init__(self, output: LogOutput, name: str | None = None) -> None:
        self._output = output
        self.name = name

    def debug(self, line: str) -> None:
        """A line that can wait."""
        self._output.take(line, urgent=False)

    info = debug

    def warning(self, line: str) -> None:
        """A line that cannot."""
        self._output.take(line, urgent=True)

    error = critical = exception = failure = fatal = warning
