"""Standard output as the log's lines go to it: written by a thread, together, so that nobody waits for its reader."""

import threading
from collections import deque
from contextlib import suppress
from typing import TextIO

GATHERED_SECONDS = 0.05
"""A system call per line costs more than the line."""
URGENT_SECONDS = 0.05
"""A warning is written at once, and whoever logs it waits for that, unless nobody reads."""
MOST_LINES = 20_000
"""Where nobody reads for long, the oldest lines are lost and not the memory."""


class LogOutput:
    """`at_once`: every line is written by whoever logs it, for those who look for the cause of a crash."""

    def __init__(self, stream: TextIO, *, at_once: bool) -> None:
        self._stream = stream
        self._at_once = at_once
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._lock = threading.Lock()
        self._some, self._urgent, self._written = threading.Event(), threading.Event(), threading.Event()
        self._closed = False
        if not at_once:
            threading.Thread(target=self._run, name="log", daemon=True).start()

    def take(self, line: str, *, urgent: bool) -> None:
        """Writes a line, soon."""
        self._lines.append(line)
        if self._at_once:
            self._write_all()
            return
        if urgent:
            self._written.clear()
            self._urgent.set()
        if not self._some.is_set():
            self._some.set()
        if urgent:
            self._written.wait(URGENT_SECONDS)

    def close(self) -> None:
        """Writes the rest and ends the thread."""
        self._closed = True
        self._urgent.set()
        self._some.set()
        self._write_all()

    def _run(self) -> None:
        while not self._closed:
            self._some.wait()
            self._urgent.wait(GATHERED_SECONDS)
            self._urgent.clear()
            self._some.clear()
            self._write_all()
            self._written.set()

    def _write_all(self) -> None:
        with self._lock, suppress(Exception):  # where standard output is gone, or closed
            gathered = [f"{self._lines.popleft()}\n" for _ in range(len(self._lines))]
            if gathered:
                self._stream.write("".join(gathered))
                self._stream.flush()


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
