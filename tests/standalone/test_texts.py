"""What the commands say, and what they make of what is said to them."""

import io
import json
import shlex

import pytest

from chassis.sqlite import connect
from standalone import checks, logs, model, report, suite
from standalone.__main__ import main, parser
from standalone.place import Place
from standalone.progress import Progress
from standalone.rest import Refused, Rest, Unreachable
from standalone.seed import FIELDS, demo_account


def run(state="queued", **more):
    return {"state": "running", "generations": [{"task_title": "Tea", "state": state, **more}]}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_a_line_is_written_for_each_change_only():
    stream = io.StringIO()
    progress = Progress(stream)
    for _ in range(3):
        progress.show(run())
    progress.show(run(state="succeeded", word_count=412))
    images = {"total": 3, "generated": 2, "reason": "PROVIDER_REFUSED"}
    progress.show(run(state="succeeded", word_count=412, images=images))
    lines = [line.split("Tea")[1].strip() for line in stream.getvalue().splitlines()]
    assert lines == [
        "waiting",
        "written, 412 words",
        "written, 412 words, images 2 of 3, PROVIDER_REFUSED",
    ]


def test_on_a_terminal_the_lines_are_rewritten_in_place():
    stream = Terminal()
    progress = Progress(stream)
    progress.show(run())
    progress.show(run(state="succeeded"))
    first, second = stream.getvalue().split("\x1b[2A")
    assert first.count("\n") == second.count("\n") == 2
    assert "written" in second


@pytest.mark.parametrize(("columns", "reason"), [(120, True), (80, True), (60, False), (40, False)])
def test_a_narrow_terminal_shortens_the_title_and_never_the_counts(monkeypatch, columns, reason):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    images = {"total": 3, "generated": 0, "reason": "PROVIDER_REFUSED"}
    done = run(state="succeeded", word_count=400, images=images)["generations"][0]
    generations = [
        done | {"task_title": "Everything about coffee " * 5},
        done | {"task_title": "Tea", "images": {**images, "reason": ""}},
    ]
    Progress(stream).show({"state": "running", "generations": generations})
    first, second, _ = stream.getvalue().replace("\r\x1b[2K", "").splitlines()
    for line in (first, second):
        assert "written, 400 words, images 0 of 3" in line
        assert len(line) < columns
    assert first.startswith("  Ev") == (columns > 40)
    assert first.index("written") == second.index("written")
    assert ("PROVIDER_REFUSED" in first) == reason


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "offline"),
        ({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, "offline"),
        ({"OPENAI_API_KEY": "sk"}, "https://api.openai.com/v1"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"}, "http://127.0.0.1:11434/v1"),
    ],
)
def test_the_offline_model_answers_when_nothing_else_was_set(environment, name):
    assert model.name_of(environment) == name
    settings = model.settings_for(environment, "127.0.0.1:5")
    expected = "http://127.0.0.1:5/v1" if name == "offline" else name
    assert settings["OPENAI_BASE_URL"] == expected
    assert settings["OPENAI_API_KEY"] == environment.get("OPENAI_API_KEY", "") or len(settings) == 2
    assert settings["OPENAI_API_KEY"]


def test_the_line_to_try_is_a_command_that_a_shell_understands(tmp_path):
    said = dict.fromkeys(FIELDS, "it's") | {"url": "http://127.0.0.1:1", "model": "offline"}
    place = Place(tmp_path / "it's here")
    text = report.paragraphs(said, place, 1.234, "200 MB in 9 processes")
    [demo] = [line for line in text.splitlines() if "./writer demo" in line]
    assert str(place.directory) in shlex.split(demo.partition("(")[0].partition(":")[2])
    line = next(line for line in text.splitlines() if line.startswith("  curl "))
    words = shlex.split(line)
    assert words[2] == "http://127.0.0.1:1/api/v1/writer/tasks"
    assert "Authorization: ApiKey it's" in words
    assert json.loads(words[-1])["cluster_id"] == "it's"
    assert "offline model: deterministic texts and pictures, no provider is called" in text


def structured(level, message, **more):
    return json.dumps({"level": level, "message": message, **more}) + "\n"


TRACEBACK = "Traceback …\n  File …\nValueError: too many"
CHAINED = (
    f"{TRACEBACK}\n\nDuring …\n\nTraceback …\n  File …\nOSError: no folder\n[SQL: 1]\n(See: …)"
)
NATS = "[1] 2026/01/02 03:04:05.678901 "


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("one\n\ntwo\n\n", "two"),
        (f"{TRACEBACK}\n", "ValueError: too many"),
        (f"{CHAINED}\n", "OSError: no folder"),
        (f"{TRACEBACK}\n" + structured("INFO", "again") + "sorry\n", "sorry"),
        (f"{TRACEBACK}\n" + structured("ERROR", "worse"), "worse"),
        (structured("ERROR", "it failed", exception=CHAINED), "it failed: OSError: no folder"),
        (structured("INFO", "ready"), ""),
        (structured("ERROR", "it failed", exception=TRACEBACK), "it failed: ValueError: too many"),
        (
            structured("WARNING", "the disk is full") + structured("INFO", "call"),
            "the disk is full",
        ),
        (f"{NATS}[INF] Server is ready\n", ""),
        (f"{NATS}[WRN] Plaintext\n{NATS}[INF] \n", ""),
        (f"{NATS}[FTL] no room\n{NATS}[INF] Server Exiting..\n", "no room"),
        (structured("INFO", "long " * 20_000), ""),
    ],
)
def test_the_last_words_are_those_of_an_error(tmp_path, log, words):
    path = tmp_path / "log"
    assert logs.last_words(path) == ""
    path.write_text(log)
    assert logs.last_words(path) == words


def test_the_log_is_not_asked_why_a_process_was_killed_or_ended_in_order(tmp_path):
    path = tmp_path / "log"
    path.write_text(structured("ERROR", "long ago"))
    assert logs.epitaph("content", -9, path) == "content stopped (signal SIGKILL)"
    assert logs.epitaph("content", 0, path) == "content stopped (exit code 0)"
    assert logs.epitaph("content", 3, path) == "content stopped (exit code 3): long ago"


def test_a_log_that_grows_too_large_is_put_aside_while_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "BYTES_MAX", 10)
    path = tmp_path / "a.log"
    with path.open("a") as writer:
        writer.write("a long line\n")
        writer.flush()
        logs.trim(path)
        writer.write("after\n")
    assert path.read_text() == "after\n"
    assert (tmp_path / "a.log.1").read_text() == "a long line\n"


def test_pytest_gets_what_the_user_gave_after_our_own_choices():
    shared = ["-n", "3", "--dist", "worksteal"]
    assert suite.command([], slow=False)[2:] == ["pytest", *shared, "-m", "not slow"]
    assert suite.command(["-x", "tests/chassis"], slow=True)[3:] == [
        *shared,
        "-x",
        "tests/chassis",
    ]
    assert suite.command(["-n0"], slow=True)[3:] == ["-n0"]


def test_arguments_that_no_verb_knows_are_refused(capsys):
    for arguments in (["up", "--prot", "1"], ["up", "--port", "70000"], [], ["migrate", "nobody"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    for port in ("abc", "-1", "65536", "9" * 5000):
        with pytest.raises(SystemExit):
            main(["up", "--port", port])
        assert "a port is a number from 0 to 65535" in capsys.readouterr().err
    assert parser().parse_known_args(["test", "-k", "a b", "tests"])[1] == ["-k", "a b", "tests"]


def test_a_data_folder_may_be_named_in_any_way(tmp_path):
    name = "what? 50%20 off#x=ünï&100%"
    place = Place(tmp_path / name)
    place.prepare()
    engine = connect(place.database_url("tasks"), writer=True)
    engine.connect().close()
    engine.dispose()
    assert (tmp_path / name / "tasks.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_help_says_what_the_data_folder_holds(capsys):
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    assert "folder of databases, events, pictures" in " ".join(capsys.readouterr().out.split())


def test_contracts_are_compared_with_the_newest_release_that_has_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert checks.breaking() == (
        True,
        "no tag or main branch holds contracts yet: nothing to compare with",
    )


def test_a_refusal_is_said_with_its_fields(api):
    refusal = {"error": "Not so.", "code": "INVALID_FIELDS", "errors": {"title": ["is missing"]}}
    api.answer = lambda _path, _body: (400, refusal)
    with pytest.raises(Refused, match=r"^Not so\. \(title: is missing\)$") as caught:
        Rest(api.url).post("writer/tasks", {})
    assert (caught.value.status, caught.value.code) == (400, "INVALID_FIELDS")


@pytest.mark.parametrize("nonsense", [b"<html>", b"[]", b'"x"'])
def test_what_is_no_answer_of_ours_counts_as_none(api, nonsense):
    api.answer = lambda _path, _body: (200, nonsense)
    with pytest.raises(Unreachable):
        Rest(api.url).get("writer/tasks")


def identity(known_keys, taken=()):
    """Answers of an API that knows these keys and addresses."""

    def answer(path, body):
        if path == "auth/me":
            known = "key-1" in known_keys
            return (200, {"data": {"account": {"id": "a1"}}}) if known else (401, {"code": "X"})
        if path == "auth/login":
            return 401, {"code": "UNAUTHENTICATED"}
        if path == "auth/register":
            if body["email"] in taken:
                return 409, {"code": "ALREADY_EXISTS", "error": "taken"}
            account = {"id": "a1"}
            return 201, {
                "data": {"access_token": "t", "account": account, "site_id": "s", "sector_id": "c"}
            }
        if path == "auth/api_keys":
            return 201, {"data": {"key": "key-1"}}
        return 201, {"data": {"id": "cluster-1"}}

    return answer


def test_the_demo_account_is_made_once_and_its_secrets_are_private(api, tmp_path):
    place = Place(tmp_path)
    api.answer = identity({"key-1"})
    first = demo_account(api.url, place)
    assert (tmp_path / "demo.json").stat().st_mode & 0o077 == 0
    registered = [body for _, path, body in api.asked if path == "auth/register"]
    assert registered[0]["email"] == "demo@writer.local"
    assert len(first["password"]) >= 10

    assert demo_account(api.url, place) == first
    assert [path for _, path, _ in api.asked].count("auth/register") == 1


def test_an_account_that_is_gone_is_replaced_under_another_address_if_need_be(api, tmp_path):
    place = Place(tmp_path)
    place.write_demo(dict.fromkeys(FIELDS, "yesterday"))
    api.answer = identity(set(), taken={"demo@writer.local"})
    demo = demo_account(api.url, place)
    assert demo["email"].startswith("demo-")
    assert place.read_demo() == demo
