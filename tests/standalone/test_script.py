"""./writer itself: how it finds Python and makes its environment, before a Python that pretends."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("cat", "cksum", "cp", "dirname", "mkdir", "readlink", "rm", "sh")
WITHIN_S = 20
NAP_S = 0.05

# Answers as Python does to what ./writer asks, and writes down what it is told to do.
PRETENDER = """\
#!/bin/sh
case "$*" in
    *'sys.version_info'*) exit ${PRETENDED_VERSION:-0} ;;
    *ensurepip*) exit ${PRETENDED_VENV:-0} ;;
    '-m venv --clear '*)
        echo made >>"$JOURNAL"
        rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    '-m pip install '*)
        echo "installed $(pwd) $*" >>"$JOURNAL"
        [ -z "${PRETENDED_SLOWNESS:-}" ] || { sleep 1; sleep 1; }
        exit ${PRETENDED_INSTALL:-0} ;;
    *'-m standalone '*) echo "ran $*" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def shell():
    """The strictest shell at hand."""
    return shutil.which("dash") or shutil.which("sh")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with nothing but what the script reads, and a Python that pretends."""
    root = tmp_path / "a check out"
    root.mkdir()
    for name in ("writer", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    # The script waits in seconds; nothing here takes as long.
    (tools / "sleep").write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} {NAP_S}\n")
    (tools / "sleep").chmod(0o755)
    add_python(tools, "python3.12")
    return root


def add_python(tools, name):
    path = tools / name
    path.write_text(PRETENDER)
    path.chmod(0o755)


def environment(checkout, **more):
    return {
        "PATH": str(checkout.parent / "bin"),
        "HOME": "",
        "JOURNAL": str(checkout.parent / "journal"),
        **more,
    }


def call(shell, checkout, *arguments, cwd=None, script=None, **more):
    return subprocess.run(
        [shell, str(script or checkout / "writer"), *arguments],
        env=environment(checkout, **more),
        cwd=cwd or checkout.parent,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def journal(checkout):
    path = checkout.parent / "journal"
    return path.read_text().splitlines() if path.exists() else []


def installs(checkout):
    return [line for line in journal(checkout) if line.startswith("installed")]


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_the_first_use_makes_an_environment_and_later_ones_start_at_once(shell, checkout):
    shell = shutil.which(shell) or shutil.which("sh")
    first = call(shell, checkout, "up", "--port", "0")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "ran -P -m standalone up --port 0\n"
    assert first.stderr.count("\n") == 1
    assert first.stderr.startswith("Preparing the environment")

    second = call(shell, checkout, "demo")
    assert (second.stdout, second.stderr) == ("ran -P -m standalone demo\n", "")
    assert journal(checkout)[0] == "made"
    assert len(journal(checkout)) == 2
    assert installs(checkout)[0].startswith(f"installed {checkout} ")
    assert not (checkout / "build" / "environment.lock").exists()


def test_an_environment_that_has_more_is_good_enough_for_less(shell, checkout):
    call(shell, checkout, "check")
    call(shell, checkout, "test")
    call(shell, checkout, "up")
    assert len(installs(checkout)) == 1
    assert installs(checkout)[0].endswith("--constraint constraints.txt --editable .[test,check]")


def test_tests_need_more_than_what_running_needs(shell, checkout):
    call(shell, checkout, "up")
    call(shell, checkout, "test", "-k", "some thing")
    assert [line.split("--editable ")[1] for line in installs(checkout)] == [".", ".[test]"]
    assert journal(checkout).count("made") == 1


def test_the_slow_tests_have_packages_of_their_own(shell, checkout):
    call(shell, checkout, "test", "-x")
    call(shell, checkout, "test", "--slow", "-x")
    call(shell, checkout, "test")
    assert [line.rpartition(".")[2] for line in installs(checkout)] == ["[test]", "[test,slow]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_needed_brings_the_environment_up_to_date(shell, checkout, name):
    call(shell, checkout, "up")
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    call(shell, checkout, "up")
    assert len(installs(checkout)) == 2
    assert journal(checkout).count("made") == 1


def test_an_environment_that_was_left_half_made_is_repaired(shell, checkout):
    failed = call(shell, checkout, "up", PRETENDED_INSTALL="1")
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert failed.stdout == ""

    assert call(shell, checkout, "up").returncode == 0

    (checkout / ".venv" / "bin" / "python").unlink()
    assert call(shell, checkout, "up").returncode == 0
    assert journal(checkout).count("made") == 2


def test_an_environment_that_moved_is_made_anew(shell, checkout):
    call(shell, checkout, "up")
    moved = checkout.rename(checkout.parent / "moved")
    assert call(shell, moved, "up").returncode == 0
    assert journal(moved).count("made") == 2


def test_two_first_uses_at_once_make_one_environment(shell, checkout):
    calls = [
        subprocess.Popen(
            [shell, str(checkout / "writer"), "up"],
            env=environment(checkout, PRETENDED_SLOWNESS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(3)
    ]
    assert [call.communicate(timeout=WITHIN_S)[0] for call in calls] == [
        "ran -P -m standalone up\n"
    ] * 3
    assert len(installs(checkout)) == 1


def test_a_lock_whose_owner_died_does_not_hold_anybody_up(shell, checkout):
    lock = checkout / "build" / "environment.lock"
    lock.mkdir(parents=True)
    dead = subprocess.Popen([shell, "-c", "exit 0"])
    dead.wait()
    (lock / "pid").write_text(f"{dead.pid}\n")
    assert call(shell, checkout, "up").returncode == 0


def test_it_works_from_anywhere_and_through_links(shell, checkout):
    link = checkout.parent / "bin" / "w"
    link.symlink_to("../a check out/writer")
    done = call(shell, checkout, "up", cwd="/", script=link)
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv").is_dir()


def test_without_a_python_that_is_new_enough_it_says_so(shell, checkout):
    for more in ({"PRETENDED_VERSION": "1"}, {"PATH": str(checkout.parent / "none")}):
        if "PATH" in more:
            shutil.copytree(checkout.parent / "bin", checkout.parent / "none", symlinks=True)
            (checkout.parent / "none" / "python3.12").unlink()
        done = call(shell, checkout, "up", **more)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "writer: needs Python 3.11 or newer, and found none on the PATH."
        )


def test_a_python_without_venv_is_named(shell, checkout):
    done = call(shell, checkout, "up", PRETENDED_VENV="1")
    assert done.returncode == 1
    assert "install its venv package" in done.stderr


def test_help_needs_nothing_and_unknown_verbs_are_refused(shell, checkout):
    for arguments in ([], ["help"], ["--help"]):
        done = call(shell, checkout, *arguments, PATH="/nowhere:" + str(checkout.parent / "bin"))
        assert done.returncode == 0
        assert "up      starts everything" in done.stdout
    refused = call(shell, checkout, "fly")
    assert refused.returncode == 1
    assert refused.stderr == "writer: does not know 'fly'; ./writer help lists the verbs.\n"
    assert journal(checkout) == []


def test_every_verb_of_the_script_is_one_of_python_s():
    from standalone.__main__ import VERBS

    text = (ROOT / "writer").read_text()
    listed = text.split("<<'HELP'")[1].split("HELP")[0]
    for verb in VERBS:
        assert f"\n  {verb} " in listed
        assert any(
            verb in line.split(")")[0].replace("|", " ").split()
            for line in text.splitlines()
            if ") prepare" in line
        ), verb


def test_the_scripts_can_be_executed():
    assert os.access(ROOT / "writer", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
