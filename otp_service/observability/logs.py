"""Logging: one line of JSON, or one to read, per event on standard output; never a message of an exception."""

import logging
import sys
import traceback
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from otp_service.observability.log_output import LogOutput, StructuredLogger

# They log URLs, parameters or paths, and those hold numbers, texts and the callback's secret.
_QUIET = ("httpx", "httpcore", "hpack", "urllib3", "sqlalchemy", "alembic", "asyncio", "uvicorn.access")
_UVICORN = ("uvicorn", "uvicorn.error")


def configure(level: str, format: Literal["json", "console"]) -> None:  # noqa: A002 - the setting's own word
    """Routes structlog and the standard library's loggers to standard output from `level` (`debug` to `error`) on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    output = LogOutput(sys.stdout, at_once=threshold <= logging.DEBUG)
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
    # Our own lines go past the standard library, which costs more than the rest of a line.
    structlog.configure(
        processors=[*shared, render],
        logger_factory=partial(StructuredLogger, output),
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


def _handler(output: LogOutput, shared: list[Processor], render: Processor) -> logging.Handler:
    handler = _Handler(output)
    handler.addFilter(_without_exception_arguments)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    return handler


class _Handler(logging.Handler):
    """The standard library's loggers write to the same output."""

    def __init__(self, output: LogOutput) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record."""
        try:
            self._output.take(self.format(record), urgent=record.levelno >= logging.WARNING)
        except Exception:  # noqa: BLE001 - as every handler of the standard library: a log must break nothing
            self.handleError(record)

    def close(self) -> None:
        """Writes the rest, at the latest when the process ends."""
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
