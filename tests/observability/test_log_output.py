"""The log's lines leave in order, a warning at once; standard output that nobody reads holds nobody up."""

import io
import os
import threading
import time

import pytest

from otp_service.observability import log_output
from otp_service.observability.log_output import LogOutput


def test_lines_leave_in_order_and_the_rest_at_the_end() -> None:
    stream = io.StringIO()
    output = LogOutput(stream, at_once=False)
    for line in "abc":
        output.take(line, urgent=False)
    output.close()
    assert stream.getvalue() == "a\nb\nc\n"


def test_a_warning_leaves_at_once_with_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "GATHERED_SECONDS", 60.0)
    monkeypatch.setattr(log_output, "URGENT_SECONDS", 20.0)
    stream = io.StringIO()
    output = LogOutput(stream, at_once=False)
    output.take("info", urgent=False)
    output.take("warning", urgent=True)
    assert stream.getvalue() == "info\nwarning\n"
    output.close()


def test_at_once_means_in_the_call() -> None:
    stream = io.StringIO()
    LogOutput(stream, at_once=True).take("debug", urgent=False)
    assert stream.getvalue() == "debug\n"


def test_nobody_waits_for_a_reader_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "MOST_LINES", 100)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "w") as stream:
        output = LogOutput(stream, at_once=False)
        begun = time.monotonic()
        for at in range(2_000):  # more than a pipe holds
            output.take(f"{at} " + "x" * 200, urgent=at % 500 == 0)
        assert time.monotonic() - begun < 10
        assert len(output._lines) <= 100
        threading.Thread(target=_drain, args=(os.dup(read.fileno()),), daemon=True).start()
        output.close()


def test_the_end_of_the_process_does_not_wait_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "CLOSE_SECONDS", 0.1)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "w") as stream:
        output = LogOutput(stream, at_once=False)
        for _ in range(2_000):
            output.take("x" * 200, urgent=False)
        begun = time.monotonic()
        output.close()
        assert time.monotonic() - begun < 5
        threading.Thread(target=_drain, args=(os.dup(read.fileno()),), daemon=True).start()
        output._thread.join(20)
        assert not output._thread.is_alive()


def test_what_is_logged_after_the_end_is_written_at_once() -> None:
    stream = io.StringIO()
    output = LogOutput(stream, at_once=False)
    output.close()
    output.take("late", urgent=False)
    assert stream.getvalue() == "late\n"


def _drain(reader: int) -> None:
    while os.read(reader, 65536):
        pass
