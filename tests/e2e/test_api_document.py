"""docs/api.md: its examples are executed in their order and answer what stands below them."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from standalone.seed import demo_account

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```sh\n(.+?)```\n```json\n(.+?)\n```", TEXT, re.DOTALL)
ANYTHING = "…"
WITHIN_S = 30


def fits(found, expected):
    """Whether an answer has at least what the example shows."""
    if expected == ANYTHING:
        return found not in {None, ""}
    if isinstance(expected, dict) and expected:
        return isinstance(found, dict) and all(
            key in found and fits(found[key], inner) for key, inner in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(fits, found, expected))
    return found == expected


def test_every_example_answers_what_is_shown(stack, tmp_path):
    assert len(EXAMPLES) == TEXT.count("```sh\n") >= 6
    if shutil.which("curl") is None:
        pytest.skip("NO CURL: the examples of docs/api.md are not executed.")
    # An account of its own: what others in this stack have made does not count.
    demo = demo_account(stack.url, stack.place, fresh=True)
    environment = {
        "PATH": os.environ["PATH"],
        "WRITER": stack.url,
        "KEY": demo["api_key"],
        "SITE": demo["site_id"],
        "SECTOR": demo["sector_id"],
        "CLUSTER": demo["cluster_id"],
    }
    for script, shown in EXAMPLES:
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=WITHIN_S,
        )
        assert fits(json.loads(done.stdout), json.loads(shown)), f"{script}\n{done.stdout}"
