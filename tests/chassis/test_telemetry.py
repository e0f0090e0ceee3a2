"""Log lines: one JSON object each, whatever is logged."""

import json
import logging
import sys
import threading

import pytest

from chassis import interceptors
from chassis.log_line import Line
from chassis.telemetry import JsonLines, LineHandler


def line(message="call", *args, error=None, **extra):
    exc_info = None
    if error is not None:
        try:
            raise error
        except type(error):
            exc_info = sys.exc_info()
    record = logging.makeLogRecord(
        {"name": "chassis.calls", "levelname": "INFO", "msg": message, "args": args} | extra
    )
    record.exc_info = exc_info
    return JsonLines("tasks").format(record)


def test_a_line_tells_when_where_and_what():
    found = json.loads(line("got %s", "it", method="/m", duration_ms=1.5))
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "INFO",
        "process": "tasks",
        "logger": "chassis.calls",
        "message": "got it",
        "method": "/m",
        "duration_ms": 1.5,
    }


def test_the_short_way_to_a_line_writes_what_the_long_one_does():
    fields = {"method": "/m", "status": 200}
    formatter = JsonLines("tasks")
    short = json.loads(formatter.format(Line("chassis.calls", "call", fields)))
    assert short.pop("time")[:4].isdigit()
    long = json.loads(line("call", **fields))
    del long["time"]
    assert short == long
    # What the formatters of others ask for is there as well.
    other = logging.Formatter("%(asctime)s %(filename)s %(funcName)s %(process)s %(message)s")
    assert other.format(Line("chassis.calls", "call", fields)).endswith("call")


def test_a_line_of_a_running_call_carries_its_request_id():
    token = interceptors.request_id.set("r-1")
    try:
        assert json.loads(line())["request_id"] == "r-1"
    finally:
        interceptors.request_id.reset(token)


def test_an_error_keeps_its_trace_in_the_same_line():
    written = line(error=ValueError("two\nlines"))
    assert "\n" not in written
    assert "ValueError: two\nlines" in json.loads(written)["exception"]


@pytest.mark.parametrize(
    "odd", ["\ud800", "\0", 2**80, b"\xff", {1: object()}, float("nan"), ["\udfff"]]
)
def test_whatever_is_logged_makes_one_line_of_json(odd):
    for written in (line("odd: %s", odd), line(extra_value=odd)):
        assert "\n" not in written
        assert json.loads(written)["process"] == "tasks"


def test_a_line_does_not_wait_for_the_lock_that_logging_uses(capfdbinary):
    handler = LineHandler(JsonLines("tasks"))
    record = logging.makeLogRecord({"msg": "written"})
    # Some versions of Python use it in this way whenever they handle a record.
    with handler.lock:
        thread = threading.Thread(target=handler.handle, args=(record,))
        thread.start()
        thread.join(timeout=5)
        assert not thread.is_alive()
    assert json.loads(capfdbinary.readouterr().err)["message"] == "written"


def test_what_a_filter_answers_is_written(capfdbinary):
    handler = LineHandler(JsonLines("tasks"))
    handler.filter = lambda _record: logging.makeLogRecord({"msg": "[redacted]"})
    assert handler.handle(logging.makeLogRecord({"msg": "secret"}))
    handler.filter = lambda _record: False
    assert not handler.handle(logging.makeLogRecord({"msg": "secret"}))
    assert json.loads(capfdbinary.readouterr().err)["message"] == "[redacted]"
