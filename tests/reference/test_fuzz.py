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
SEED = os.environ.get("FUZZ_SEED", "")
CASES_MIN = 5_000
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
WITHIN_S = 1_750
# Elsewhere than the fuzzer, whose wrong passwords lock addresses out.
LOGIN_ADDRESS = "192.0.2.1"


@pytest.fixture
def environment(operator, neighbour, supplies, tmp_path):
    """Who the fuzzer is, and what it may refer to."""
    people = {"operator": asdict(operator), "neighbour": asdict(neighbour)}
    logins = {"auth": [login_of(name, person) for name, person in people.items()]}
    for name, content in (("people", people | {"supplies": supplies}), ("logins", logins)):
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
            "headers": [{"name": "X-Forwarded-For", "value": LOGIN_ADDRESS}],
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


def operations(document):
    return {each["operationId"] for item in document["paths"].values() for each in item.values()}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_request_is_answered_in_a_way_that_the_document_does_not_say(
    stack, environment, tmp_path
):
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    command = [program, "--config-file", HERE / "schemathesis.toml", "run"]
    command += [f"{stack.url}/api/openapi.json", "--max-examples", EXAMPLES]
    command += ["--seed", SEED] if SEED else []
    done = subprocess.run(
        command,
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

    tally = json.loads((tmp_path / "tally.json").read_text())
    phases = Counter()
    for phase, _, _, count in tally:
        phases[phase] += count
    print(dict(phases))  # noqa: T201  what a long run is for
    assert phases.keys() >= PHASES
    assert phases.total() >= CASES_MIN
    # Whoever is only refused has not been tested.
    succeeded = {name for _, name, status, _ in tally if status in range(200, 300)}
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "standalone", "openapi"], capture_output=True, check=True
    )
    assert operations(json.loads(printed.stdout)) - succeeded == set()
