"""The log: one format for every logger, and nothing of an exception but its type and its frames."""

import asyncio
import io
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from otp_service.api.public import livez
from otp_service.observability import logs
from otp_service.server.protocol import Connection
from tests.support.servers import running

SECRET = "482913"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Puts logging back, which belongs to the process."""
    root = logging.getLogger()
    names = (*logs._QUIET, *logs._UVICORN)
    before = (root.handlers, root.level, logging.raiseExceptions)
    loggers = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    yield
    root.handlers, root.level, logging.raiseExceptions = before
    for logger, level in loggers:
        logger.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    logging.getLogger().handlers[0].close()  # writes what is queued
    captured = capsys.readouterr()
    assert captured.err == ""
    return [json.loads(line) for line in captured.out.splitlines()]


def fail() -> None:
    pin = SECRET
    raise ValueError(f"wrong: {pin}")


def fail_from_another() -> None:
    try:
        fail()
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def test_an_event_is_one_line_of_json_with_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger("otp").info("sent", route="pin", took=0.5, seen=[1, {"a": None}])
    logging.getLogger("uvicorn.error").warning("started %s", "here")
    ours, theirs = lines(capsys)
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "sent",
        "level": "info",
        "logger": "otp",
        "request_id": "r-1",
        "route": "pin",
        "took": 0.5,
        "seen": [1, {"a": None}],
    }
    assert (theirs["event"], theirs["level"], theirs["request_id"]) == ("started here", "warning", "r-1")


def test_the_level_counts_for_every_logger(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json")
    for logger in (structlog.get_logger("otp"), logging.getLogger("uvicorn")):
        logger.info("no")
        logger.warning("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes", "yes"]


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "sqlalchemy.engine", "alembic.runtime", "hpack.hpack"])
def test_loggers_that_write_urls_and_parameters_stay_quiet(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    logging.getLogger(name).info("GET https://gateway.example/%s", SECRET)
    logging.getLogger("other").debug("heard")
    assert [line["event"] for line in lines(capsys)] == ["heard"]
    logs.configure("error", "json")
    logging.getLogger(name).warning("not at this level")
    assert lines(capsys) == []


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_its_types_and_frames(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", form)
    try:
        fail_from_another()
    except RuntimeError as error:
        structlog.get_logger("otp").exception("crashed", reason=error, nested=[error, {"deep": error}])
        structlog.get_logger("otp").error("crashed", exc_info=error)
        logging.getLogger("other").exception("failed with %s", error)
        logging.getLogger("other").error("failed with %(error)s", {"error": error}, stack_info=True)
        logging.getLogger("other").error(error, exc_info=error)
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err
    assert captured.out.count("builtins.ValueError") == 4
    assert "test_logs.py:" in captured.out
    assert ":fail_from_another" in captured.out


def test_an_exception_names_what_it_came_from_and_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    group = ExceptionGroup(SECRET, [KeyError(SECRET), OSError(SECRET)])
    group.__context__ = group.exceptions[0]
    structlog.get_logger().error("crashed", exc_info=group)
    (line,) = lines(capsys)
    assert [each["type"] for each in line["error"]] == [
        "builtins.ExceptionGroup",
        "builtins.KeyError",
        "builtins.OSError",
    ]


def test_a_task_nobody_awaited_tells_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        future.set_exception(ValueError(SECRET))
        error = future.exception()
        loop.call_exception_handler({"message": "never retrieved", "exception": error, "future": future})

    asyncio.run(main())
    (line,) = lines(capsys)
    assert line["event"] == "never retrieved"
    assert line["error"][0]["type"] == "builtins.ValueError"
    assert SECRET not in str(line)


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_is_no_plain_value_is_written_as_its_type(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    class Holder:
        def __repr__(self) -> str:
            return SECRET

    logs.configure("debug", form)
    structlog.get_logger().info("seen", holder=Holder(), many=[Holder()])
    out = capsys.readouterr().out
    assert "Holder" in out
    assert SECRET not in out


def test_a_log_call_with_wrong_arguments_prints_nothing_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    logging.getLogger("other").error("%d", SECRET)
    assert lines(capsys) == []


def test_a_log_whose_output_is_gone_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.StringIO() as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        logs.configure("info", "json")
    structlog.get_logger("otp").error("nobody hears it", exc_info=ValueError())
    logs.configure("error", "json")


def test_lines_keep_their_order_and_the_rest_is_written_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    for number in range(1000):
        structlog.get_logger("otp").log(logging.WARNING if number % 100 == 0 else logging.INFO, str(number))
    assert [line["event"] for line in lines(capsys)] == [str(number) for number in range(1000)]
    structlog.get_logger("otp").info("after the end")
    assert [line["event"] for line in lines(capsys)] == ["after the end"]


def test_a_debug_log_is_written_by_its_caller(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    structlog.get_logger("otp").info("before a crash")
    assert "before a crash" in capsys.readouterr().out


@contextmanager
def unread_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A log that goes to a pipe, which is read only afterwards; yields the end to read from."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        logs.configure("info", "json")
        yield reader
        threading.Thread(target=_drain, args=(reader,), daemon=True).start()
        logs.configure("error", "json")


def _drain(reader: int) -> None:
    while os.read(reader, 65536):
        pass


def test_nobody_waits_for_a_reader_of_the_log_and_the_oldest_lines_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_LINES", 100)
    with unread_log(monkeypatch):
        for number in range(20_000):  # far more than a pipe holds; a wait of 50 ms for each would be 17 minutes
            structlog.get_logger("otp").warning(str(number))
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logs._Handler)
        kept = list(handler._output._lines)
        assert len(kept) <= 100
        assert '"19999"' in kept[-1]


def test_the_end_of_the_process_does_not_wait_for_a_reader_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "CLOSE_SECONDS", 0.1)
    with unread_log(monkeypatch):
        for number in range(2_000):
            structlog.get_logger("otp").info(str(number), padding="x" * 200)
        logging.getLogger().handlers[0].close()
        structlog.get_logger("otp").warning("after the end")


def test_malformed_requests_hold_up_nobody_while_the_log_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Starlette(routes=[Route("/livez", livez)])
    with unread_log(monkeypatch), running(app, http=Connection, log_level="warning") as url:
        for number in range(2_000):  # fills the pipe
            structlog.get_logger("otp").warning(str(number))
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
                caller.sendall(b"nonsense\r\n\r\n")
                assert caller.recv(100).startswith(b"HTTP/1.1 400 ")
        assert httpx.get(f"{url}/livez").status_code == 200
