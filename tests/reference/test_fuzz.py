"""Everything that the document allows and forbids, sent to a whole Writer.

More cases: FUZZ_EXAMPLES=200 ./writer test --slow tests/reference/test_fuzz.py -n0 -s
"""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "15")
"""Of each operation, in each way of making them; the systematic cases come on top."""
SEED = os.environ.get("FUZZ_SEED", "")
CASES_MIN = 3_000
# The access token of the operator lives for 15 minutes.
WITHIN_S = 850


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_request_is_answered_in_a_way_that_the_document_does_not_say(stack, operator, tmp_path):
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HERE / "fuzz_hooks.py"),
        "FUZZ_AUTHORIZATION": operator.authorization,
        "FUZZ_SITE_ID": operator.site_id,
        "FUZZ_SECTOR_ID": operator.sector_id,
        "FUZZ_CLUSTER_ID": operator.cluster_id,
    }
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
    generated = re.search(r"([0-9]+) generated, ", done.stdout)
    assert int(generated[1]) >= CASES_MIN
    assert stack.ended() is None
