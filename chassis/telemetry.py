"""Structured logs: one JSON object a line, under the request id of the running call."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import orjson

from chassis import interceptors
from chassis.log_line import Line

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Time, level, process, logger, message, request and trace id, and whatever `extra` adds."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """The record as one line of JSON, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := interceptors.request_id.get():
            line["request_id"] = request
        if trace := interceptors.traceparent.get():
            line["trace_id"] = trace[3:35]
        if isinstance(record, Line):
            line.update(record.fields)
        else:
            line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str)
        except TypeError:
            # Lone surrogates, endless integers, odd keys: a line of texts is better than none.
            return json.dumps({key: str(value) for key, value in line.items()}).encode()


class LineHandler(logging.Handler):
    """Writes records to standard error, each line as a whole and at once."""

    def __init__(self, lines: JsonLines) -> None:
        super().__init__()
        self._lines = lines
        self._stream = sys.stderr.buffer

    def handle(self, record: logging.LogRecord) -> bool:
        """Without logging's lock: the stream takes a line in one call, under a lock of its own."""
        passed = self.filter(record)
        if passed:
            # Since Python 3.12 a filter may answer another record, which is written instead.
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; what cannot be written is told as logging tells it."""
        try:
            self._stream.write(self._lines.line(record) + b"\n")
            self._stream.flush()
        except Exception:  # noqa: BLE001  as the handlers of logging do
            self.handleError(record)


def set_up_logging(process: str, level: str) -> None:
    """Sends all logs of this process to standard error, replacing what was set up before."""
    # No line of ours says from which source line, thread or task it comes: looking them up is half
    # of what a line costs (the logging how-to, "Optimization").
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined,unused-ignore]
    handler = LineHandler(JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "asyncio", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
