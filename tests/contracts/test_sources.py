"""Rules for the source itself: sizes, where time comes from, who may talk to a model."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import chassis
import gateway

ROOT = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("chassis", "services", "gateway", "standalone")
MODULE_LINES_MAX = 300
TEST_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
# They name every column or field of one row, one a line; there is no second thought to take out.
LONG_FUNCTIONS = {
    "services/content/migrations/versions/0001_contents.py:_create_contents",
    "services/tasks/service/runs.py:_create",
    "services/tasks/store/runs.py:create",
}
DOCSTRING_LINES_MAX = 5
# The indexes of the chassis and the gateway, and why forking is safe where it is done.
LONG_DOCSTRINGS = {"chassis/__init__.py", "gateway/__init__.py", "standalone/zygote.py"}
LONG_TESTS: set[str] = set()
CLOCKS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.perf_counter",
}
ID_MAKERS = {"uuid.uuid1", "uuid.uuid4", "uuid.uuid5", "uuid_utils.uuid4", "uuid_utils.uuid7"}
ID_MAKERS |= {"uuid4", "uuid7"}


def sources(*folders):
    return {
        str(path.relative_to(ROOT)): path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


SOURCES = sources(*SOURCE_FOLDERS)
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def rooms(folder):
    """The modules and packages of a folder."""
    inside = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")]
    return {path.parts[0].removesuffix(".py") for path in inside} - {"__init__", "__main__"}


def dotted(node):
    """`a.b.c` for such an expression; empty for any other."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree):
    return {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def called(name, wanted):
    return {
        each for each in calls(TREES[name]) if any(f".{each}".endswith(f".{w}") for w in wanted)
    }


def test_modules_fit_in_a_head():
    longer = {
        name: lines
        for name, path in SOURCES.items()
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES_MAX
    }
    assert longer == {}


def test_functions_fit_on_a_screen():
    longer = {
        f"{name}:{node.name}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert longer == LONG_FUNCTIONS


def test_test_modules_fit_in_a_head():
    longer = {
        name
        for name, path in sources("tests").items()
        if len(path.read_text().splitlines()) > TEST_LINES_MAX
    }
    assert longer == LONG_TESTS


def test_a_module_says_in_a_few_lines_what_it_is_for():
    found = {name: ast.get_docstring(tree) for name, tree in TREES.items()}
    silent = {name for name, text in found.items() if text is None and TREES[name].body}
    long = {
        name for name, text in found.items() if len((text or "").splitlines()) > DOCSTRING_LINES_MAX
    }
    assert (silent, long) == (set(), LONG_DOCSTRINGS)


@pytest.mark.parametrize("package", [chassis, gateway], ids=lambda package: package.__name__)
def test_every_room_is_listed_in_the_index_of_its_house(package):
    for name in rooms(package.__name__):
        assert re.search(rf"\b{name}\b", package.__doc__), name


# Identity has the rooms of a service; CONTRIBUTING.md says what they are.
@pytest.mark.parametrize("house", sorted(rooms("gateway") - {"identity"}))
def test_every_module_is_listed_in_the_index_of_its_room(house):
    for name in rooms(f"gateway/{house}"):
        index = ast.get_docstring(TREES[f"gateway/{house}/__init__.py"])
        assert re.search(rf"\b{name}\b", index), name


def test_time_comes_from_the_clock():
    # The launcher and the offline model wait for real processes and answer real clients.
    found = {
        name: called(name, CLOCKS)
        for name in SOURCES
        if not name.startswith("standalone/") and name != "chassis/clock.py"
    }
    assert {name: names for name, names in found.items() if names} == {}


def test_ids_come_from_one_place():
    found = {name: called(name, ID_MAKERS) for name in SOURCES if name != "chassis/ids.py"}
    found = {name: names for name, names in found.items() if names}
    assert {name for name in found if not name.startswith("standalone/offline_model/")} == set()


def test_only_those_who_ask_a_model_know_its_client():
    found = {
        name
        for name, tree in TREES.items()
        if any(module.partition(".")[0] == "openai" for module in imports(tree))
        and name not in {"chassis/model.py", "chassis/model_errors.py"}
        and "/providers/" not in name
    }
    assert found == set()


def test_only_the_chassis_talks_to_nats():
    found = {
        name
        for name, tree in TREES.items()
        if any(module.partition(".")[0] == "nats" for module in imports(tree))
        and not name.startswith("chassis/")
    }
    assert found == set()


def test_only_the_chassis_commits():
    ends = {"connection.commit", "connection.rollback", "connection.begin", "create_engine"}
    ends |= {f"_{each}" for each in ends}
    found = {name: called(name, ends) for name in SOURCES if not name.startswith("chassis/")}
    assert {name: names for name, names in found.items() if names} == {}


def test_nothing_is_left_for_later():
    marks = ("TODO", "FIXME", "XXX", "HACK")
    found = [
        f"{name}:{token.start[0]}"
        for name, path in SOURCES.items()
        if any(mark in path.read_text() for mark in marks)
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.COMMENT and any(mark in token.string for mark in marks)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "wanted", "found"),
    [
        ("import datetime\ndatetime.datetime.now()", CLOCKS, {"datetime.datetime.now"}),
        ("from datetime import datetime\ndatetime.now(UTC)", CLOCKS, {"datetime.now"}),
        ("import time\ntime.time()", CLOCKS, {"time.time"}),
        ("clock.now()", CLOCKS, set()),
        ("import uuid\nuuid.uuid4()", ID_MAKERS, {"uuid.uuid4"}),
        ("ids.new_id()", ID_MAKERS, set()),
    ],
)
def test_the_search_finds_what_it_looks_for(monkeypatch, source, wanted, found):
    monkeypatch.setitem(TREES, "sample", ast.parse(source))
    assert called("sample", wanted) == found
