"""docs/gateway.md tells the truth: its examples are run, its tables compared."""

import json
import re
from pathlib import Path

import pytest
from writer.identity.v1 import identity_pb2
from writer.tasks.v1 import tasks_pb2

from chassis.errors import EtagMismatch
from gateway.admission.cors import ListedOrigins
from gateway.admission.counters import MemoryCounter
from gateway.admission.throttles import PER_MINUTE, Throttles
from gateway.http.bounds import Bounds

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "gateway.md").read_text()
VARIES = "…"


def examples():
    for block in re.findall(r"```http\n(.*?)```", TEXT, re.DOTALL):
        yield from block.strip().split("\n\n")


def read(example):
    """Verb, path, headers and body that are sent; status, headers and body that come."""
    sent = [line[2:] for line in example.splitlines() if line.startswith("> ")]
    came = [line[2:] for line in example.splitlines() if line.startswith("< ")]
    assert len(sent) + len(came) == len(example.splitlines())
    return (*sent[0].split(" "), *_parts(sent[1:])), (int(came[0]), *_parts(came[1:]))


def _parts(lines):
    body = [line for line in lines if line.startswith("{")]
    headers = dict(line.split(": ", 1) for line in lines if not line.startswith("{"))
    return headers, json.loads(body[0]) if body else None


def agrees(told, found):
    """Whether all that is told is found."""
    if isinstance(told, dict):
        return all(key in found and agrees(value, found[key]) for key, value in told.items())
    return told in {VARIES, found} if isinstance(told, str) else told == found


@pytest.fixture
async def stack(make_stack, task, picture):
    options = {
        "throttles": Throttles(MemoryCounter()),
        "origins": ListedOrigins(["https://app.example"]),
    }
    async with make_stack("tasks", "identity", "images", "billing", **options) as opened:
        opened.backend.answers.update(
            GetTask=task,
            ListTasks=tasks_pb2.ListTasksResponse(
                tasks=[task], total_size=2, next_page_token="further"
            ),
            UpdateBudget=EtagMismatch("budget", "2.a7c", ["credits"]),
            Login=identity_pb2.Session(),
            GetImageFile=picture[1],
        )
        yield opened


@pytest.mark.parametrize("example", list(examples()), ids=lambda text: text.splitlines()[0][2:60])
async def test_an_example_is_true(stack, example):
    (verb, path, headers, body), (status, told_headers, told_body) = read(example)
    answer = await stack.client.request(verb, path, headers=headers, json=body)
    assert answer.status_code == status, answer.text
    for name, value in told_headers.items():
        assert answer.headers[name] == value
    assert told_body is None or agrees(told_body, answer.json()), answer.text


def test_the_document_has_the_limits_and_times_that_count():
    rows = re.findall(r"\| ([0-9,]+)[^|]*\| [^|]+ \| `(WRITER_[A-Z_]+)` \|", TEXT)
    told = {variable: float(number.replace(",", "")) for number, variable in rows}
    usual = Bounds()
    assert told == {
        "WRITER_HEAD_BYTES_MAX": usual.head_bytes,
        "WRITER_HEADERS_MAX": usual.headers,
        "WRITER_QUERY_BYTES_MAX": usual.query_bytes,
        "WRITER_BODY_BYTES_MAX": usual.body_bytes,
        "WRITER_ITEMS_MAX": usual.items,
        "WRITER_CONNECTIONS_MAX": usual.connections,
        "WRITER_HEAD_TIMEOUT_S": usual.head_timeout_s,
        "WRITER_BODY_TIMEOUT_S": usual.body_timeout_s,
        "WRITER_WRITE_TIMEOUT_S": usual.write_timeout_s,
        "WRITER_KEEP_ALIVE_S": usual.keep_alive_s,
    }


def test_the_document_has_the_throttles_that_count():
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]+) \|", TEXT, re.MULTILINE)
    assert {name: int(number) for name, number in rows} == PER_MINUTE
