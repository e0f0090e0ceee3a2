""".ci/run: what it tries again, and what it never forgives. The pytest in it is the real one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60

# ./writer of a checkout with a suite of its own.
WRITER = f"""\
#!/bin/sh
verb=$1; shift
case "$verb" in
    test) exec {sys.executable} -m pytest -q -p xdist "$@" ;;
    check) echo checked ;;
esac
"""
# Fails once, as a test does that has too little of a busy machine.
UNSTEADY = """
from pathlib import Path

def test_unsteady():
    seen = Path("seen")
    again = seen.exists()
    seen.touch()
    assert again
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with .ci/run, a ./writer and no tests yet."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (tmp_path / "writer").write_text(WRITER)
    (tmp_path / "writer").chmod(0o755)
    return tmp_path


def ci(checkout, *arguments):
    return subprocess.run(
        [str(checkout / ".ci" / "run"), *arguments],
        # Whatever pytest told its own tests is none of this one's business.
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def add(checkout, name, text):
    (checkout / "tests" / f"test_{name}.py").write_text(text)


def test_what_passes_alone_is_forgiven_and_named_at_the_very_end(checkout):
    add(checkout, "unsteady", UNSTEADY)
    add(checkout, "steady", "def test_steady(): pass")
    done = ci(checkout, "-x")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith(
        "\nFailed beside others, passed alone:\ntests/test_unsteady.py::test_unsteady\n"
    )
    assert "1 passed" in done.stdout, "the other test had no need of it"


def test_what_fails_alone_as_well_counts(checkout):
    add(checkout, "unsteady", UNSTEADY)
    add(checkout, "wrong", "def test_wrong(): assert False")
    done = ci(checkout)
    assert done.returncode == 1
    assert done.stdout.endswith("alone:\ntests/test_unsteady.py::test_unsteady\n")


def test_a_module_that_cannot_be_collected_is_not_forgiven_for_what_failed_before(checkout):
    add(checkout, "unsteady", UNSTEADY)
    kept = checkout / ".pytest_cache" / "v" / "cache"
    kept.mkdir(parents=True)
    (kept / "lastfailed").write_text('{"tests/test_unsteady.py::test_unsteady": true}')
    add(checkout, "broken", "import nothing_of_this_name")
    (checkout / "seen").touch()
    done = ci(checkout)
    assert done.returncode == 2, done.stdout
    assert "passed alone" not in done.stdout


@pytest.mark.parametrize(
    ("first", "second", "check", "status"),
    [
        (0, 9, 0, 0),
        (0, 9, 3, 3),
        (1, 0, 0, 0),
        (1, 0, 3, 3),
        (1, 5, 0, 5),
        (2, 0, 0, 2),
        (5, 0, 0, 5),
    ],
)
def test_nothing_but_tests_that_failed_is_tried_again(checkout, first, second, check, status):
    (checkout / "writer").write_text(
        f'#!/bin/sh\ncase "$*" in *--last-failed*) exit {second} ;; check) exit {check} ;; esac\n'
        f"exit {first}\n"
    )
    assert ci(checkout).returncode == status
