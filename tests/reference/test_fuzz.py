"""Everything that the document allows and forbids, sent to a whole Writer.

More cases: FUZZ_EXAMPLES=200 ./writer test --slow tests/reference/test_fuzz.py -n0 -s
"""

import json
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "15")
"""Of each operation, in each way of making them; the systematic cases come on top."""
STATEFUL_S = os.environ.get("FUZZ_STATEFUL_S", "45")
"""For steps that follow from each other."""
SEED = os.environ.get("FUZZ_SEED", "")
CASES_MIN = 5_000
STEPS_MIN = 200
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
WITHIN_S = 1_750


@pytest.fixture
def environment(stack, operator, neighbour, supplies, tmp_path):
    """Who the fuzzer is, and what it may refer to."""
    people = {"operator": asdict(operator), "neighbour": asdict(neighbour)}
    logins = {"auth": [login_of(name, person) for name, person in people.items()]}
    for name, content in (
        ("people", people | {"url": stack.url, "supplies": supplies}),
        ("logins", logins),
    ):
        (tmp_path / name).with_suffix(".json").write_text(json.dumps(content))
    return {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HERE / "fuzz_hooks.py"),
        "FUZZ_PEOPLE": str(tmp_path / "people.json"),
        "FUZZ_LOGINS": str(tmp_path / "logins.json"),
        "FUZZ_TALLY": str(tmp_path / "tally.json"),
    }


def login_of(name, person):
    """How schemathesis logs a person in: again when it has logged them out."""
    credentials = {"email": person["email"], "password": person["password"]}
    return {
        "name": name,
        "loginEndpointAuth": {
            "endpoint": "/api/v1/auth/login",
            "verb": "POST",
            "contentType": "application/json",
            "payloadRaw": json.dumps(credentials),
            "token": {
                "extractFrom": "body",
                "extractSelector": "/data/access_token",
                "sendIn": "header",
                "sendName": "Authorization",
                "sendTemplate": "Bearer {token}",
            },
        },
    }


@pytest.fixture
def fuzz(stack, environment, tmp_path):
    """Runs schemathesis; returns how often it sent what: (phase, operation, status, count)."""

    def run(*options):
        program = Path(sysconfig.get_path("scripts")) / "schemathesis"
        command = [program, "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{stack.url}/api/openapi.json", *options]
        done = subprocess.run(
            command + (["--seed", SEED] if SEED else []),
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
        sys.stdout.write(done.stdout)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        assert stack.ended() is None
        tally = json.loads(Path(environment["FUZZ_TALLY"]).read_text())
        print(phases_of(tally))  # noqa: T201  what a long run is for
        return tally

    return run


def phases_of(tally):
    """Cases by phase."""
    phases = Counter()
    for phase, _, _, count in tally:
        phases[phase] += count
    return phases


def operations():
    """The names of all that the document describes."""
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "standalone", "openapi"], capture_output=True, check=True
    )
    paths = json.loads(printed.stdout)["paths"]
    return {each["operationId"] for item in paths.values() for each in item.values()}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_order_of_requests_is_answered_in_a_way_that_the_document_does_not_say(fuzz):
    # A round ends where a repeated step finds another state; with time to spend it begins anew.
    tally = fuzz("--phases", "stateful", "--max-examples", "400", "--max-time", STATEFUL_S)
    assert phases_of(tally)["stateful"] >= STEPS_MIN


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_request_is_answered_in_a_way_that_the_document_does_not_say(fuzz):
    tally = fuzz("--max-examples", EXAMPLES)
    assert phases_of(tally).keys() >= PHASES
    assert phases_of(tally).total() >= CASES_MIN
    # Whoever is only refused has not been tested.
    succeeded = {name for _, name, status, _ in tally if status in range(200, 300)}
    assert operations() - succeeded == set()
