"""Logging: one line of JSON, or one to read, per event on standard output; never a message of an exception."""

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# They log URLs, parameters or paths, and those hold numbers, texts and the callback's secret.
_QUIET = ("httpx", "httpcore", "hpack", "urllib3", "sqlalchemy", "alembic", "asyncio", "uvicorn.access")
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")


GATHERED_SECONDS = 0.05


def configure(level: str, format: Literal["json", "console"]) -> None:  # noqa: A002 - the setting's own word
    """Routes structlog and the standard library's loggers to standard output from `level` (`debug` to `error`) on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _without_messages,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    _set_levels(threshold)
    for former in logging.getLogger().handlers:
        if isinstance(former, _Gathering):
            former.close()
    logging.getLogger().handlers = [_handler(shared, format, threshold)]
    # A log call with wrong arguments would print them to standard error.
    logging.raiseExceptions = False


def _set_levels(threshold: int) -> None:
    logging.getLogger().setLevel(threshold)
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _handler(shared: list[Processor], format: str, threshold: int) -> logging.Handler:  # noqa: A002
    render: Processor = structlog.processors.JSONRenderer()
    if format == "console":
        render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    # Whoever looks for the cause of a crash wants the last line.
    handler = logging.StreamHandler(sys.stdout) if threshold <= logging.DEBUG else _Gathering(sys.stdout)
    handler.addFilter(_without_exception_arguments)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    return handler


class _Gathering(logging.StreamHandler[TextIO]):
    """Writes what has gathered in a moment at once: a system call per line costs more than the line.

    A warning, or worse, is written at once, and with it what came before; the rest when the process ends.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: deque[str] = deque()
        self._some = threading.Event()
        self._closed = False
        threading.Thread(target=self._write_now_and_then, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record."""
        try:
            self._lines.append(self.format(record))
            if record.levelno >= logging.WARNING:
                self.flush()
        except Exception:  # noqa: BLE001 - as every handler of the standard library: a log must break nothing
            self.handleError(record)
        if not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Writes what there is."""
        self.acquire()
        try:
            gathered = [f"{self._lines.popleft()}\n" for _ in range(len(self._lines))]
            if gathered:
                self.stream.write("".join(gathered))
                self.stream.flush()
        finally:
            self.release()

    def close(self) -> None:
        """Writes the rest and ends the thread."""
        with suppress(Exception):
            self.flush()
        self._closed = True
        self._some.set()
        super().close()

    def _write_now_and_then(self) -> None:
        while True:
            self._some.wait()
            if self._closed:
                return
            time.sleep(GATHERED_SECONDS)
            self._some.clear()
            with suppress(Exception):  # where standard output is gone
                self.flush()


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
    """Exceptions as their types and frames: their messages, and the locals, can hold values."""
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
    """The exception, then what it came from or holds, at most ten in all."""
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
