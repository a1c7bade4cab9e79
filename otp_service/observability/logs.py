"""Logging: one line per event on standard output, as JSON or for people; never the message of an exception."""

import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MOST_LINES = 20_000
"""Of those that wait to be written; beyond it the oldest are dropped."""
GATHER_SECONDS = 0.05
"""How long lines are gathered, as a system call per line costs more than the line."""
CLOSE_SECONDS = 1.0

# They log URLs, parameters or paths, which contain numbers, texts and the secret of the callback address.
_QUIET = ("httpx", "httpcore", "hpack", "urllib3", "sqlalchemy", "alembic", "asyncio", "uvicorn.access")
_UVICORN = ("uvicorn", "uvicorn.error")


def configure(level: str, format: Literal["json", "console"]) -> None:  # noqa: A002 - the setting's own word
    """Route structlog and the standard library's loggers to standard output from `level` (`debug` to `error`) on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    output = _Output(sys.stdout, queued=threshold > logging.DEBUG)
    render: Processor = structlog.processors.JSONRenderer()
    if format == "console":
        render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _without_messages,
    ]
    # Our own lines bypass the standard library, which costs more than everything else about a line.
    structlog.configure(
        processors=[*shared, render],
        logger_factory=partial(_Logger, output),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=False,
    )
    _set_levels(threshold)
    for former in logging.getLogger().handlers:
        if isinstance(former, _Handler):
            former.close()
    logging.getLogger().handlers = [_handler(output, shared, render)]
    # A log call with wrong arguments would print them to standard error.
    logging.raiseExceptions = False


def _set_levels(threshold: int) -> None:
    logging.getLogger().setLevel(threshold)
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _handler(output: "_Output", shared: list[Processor], render: Processor) -> logging.Handler:
    handler = _Handler(output)
    handler.addFilter(_without_exception_arguments)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    return handler


class _Output:
    """A stream that a thread of its own writes to, so that no caller waits if nobody reads the stream.

    Not `queued`: each line is written by its caller, so that a crash loses none.
    """

    def __init__(self, stream: TextIO, *, queued: bool) -> None:
        self._write = _writer(stream)
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._some, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        if queued:
            self._thread.start()

    def put(self, line: str) -> None:
        """Queue a line; write it if there is no thread, or no longer."""
        self._lines.append(line)
        if self._thread.is_alive():
            self._some.set()
        else:
            self._write_all()

    def close(self) -> None:
        """Write the rest and end the thread; wait at most a second for a reader."""
        self._closed.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._some.wait()
            self._closed.wait(GATHER_SECONDS)
            self._some.clear()
            self._write_all()

    def _write_all(self) -> None:
        lines = []
        with suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        if lines:
            with suppress(Exception):  # standard output is closed
                self._write("\n".join(lines) + "\n")


def _writer(stream: TextIO) -> Callable[[str], None]:
    """Write past Python's buffer: the interpreter takes its lock at exit, and would wait for a thread that writes."""
    try:
        file = os.dup(stream.fileno())
    except (OSError, ValueError):  # not a file, as in some tests
        return lambda text: print(text, end="", file=stream, flush=True)
    return lambda text: _write_bytes(file, text.encode())


def _write_bytes(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


class _Logger:
    """Hands the lines that structlog has rendered to the output."""

    def __init__(self, output: _Output, name: str | None = None) -> None:
        self._output = output
        self.name = name

    def info(self, line: str) -> None:
        """Write a line of any level."""
        self._output.put(line)

    debug = warning = error = critical = exception = failure = fatal = info


class _Handler(logging.Handler):
    """Hands the lines of the standard library's loggers to the same output."""

    def __init__(self, output: _Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self._output.put(self.format(record))
        except Exception:  # noqa: BLE001 - like every handler of the standard library: logging must not fail
            self.handleError(record)

    def close(self) -> None:
        """Write the rest; called at the latest when the process ends."""
        self._output.close()
        super().close()


def _without_exception_arguments(record: logging.LogRecord) -> bool:
    # Libraries write log.error("...: %s", error); asyncio appends the repr of the task and its exception.
    record.msg = _named(record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(_named(value) for value in record.args)
    elif record.args:
        record.args = {key: _named(value) for key, value in record.args.items()}
    if record.name == "asyncio" and isinstance(record.msg, str):
        record.msg = record.msg.partition("\n")[0]
    return True


def _without_messages(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace exceptions by their types and frames: their messages, and the locals, can hold values."""
    error = _exception(event.pop("exc_info", None))
    event.pop("stack_info", None)
    plain = {key: value if key.startswith("_") else _plain(value) for key, value in event.items()}
    if error is not None:
        plain["error"] = [{"type": _name(each), "frames": _frames(each.__traceback__)} for each in _chain(error)]
    return plain


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exception() if exc_info else None


def _named(value: Any) -> Any:
    return _name(value) if isinstance(value, BaseException) else value


def _plain(value: object) -> object:
    # Renderers write the repr of what they do not know, and a repr can hold anything.
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return _name(value) if isinstance(value, BaseException) else type(value).__name__


def _chain(error: BaseException) -> list[BaseException]:
    """Return the exception, then those that it came from or contains, at most ten in all."""
    found = [error]
    for each in found:
        behind = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        held = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        for other in (behind, *held):
            if other is not None and all(other is not known for known in found):
                found.append(other)
        if len(found) >= 10:
            break
    return found[:10]


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _frames(trace: TracebackType | None) -> list[str]:
    walked = ((frame.f_code, line) for frame, line in traceback.walk_tb(trace))
    return [f"{code.co_filename}:{line}:{code.co_name}" for code, line in walked]
