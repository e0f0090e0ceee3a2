"""`./writer check`: everything about the code that can be known without running it."""

from __future__ import annotations

import filecmp
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "protos/gen/writer/api.binpb"
OURS = "writer"
"""Contracts below this are ours; the image holds what they import as well."""
WITHIN_S = 600.0
GIT_WITHIN_S = 30.0
SCRIPTS = sysconfig.get_path("scripts")

Outcome = tuple[bool, str]
"""Whether the check passed, and what there is to say about it."""


def run_all() -> int:
    """One line for each check; what a failed one printed follows at once. 1 when one failed."""
    os.chdir(ROOT)
    os.environ["PATH"] = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    failed = [name for name, check in CHECKS if not _one(name, check)]
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


def regenerate() -> int:
    """Writes protos/gen anew."""
    os.chdir(ROOT)
    os.environ["PATH"] = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    _generator().main()
    return 0


def _one(name: str, check: Callable[[], Outcome]) -> bool:
    passed, said = check()
    print(f"{'ok    ' if passed else 'FAILED'}  {name}", flush=True)
    if said and (not passed or "\n" not in said):
        print("\n".join(f"        {line}" for line in said.splitlines()), flush=True)
    return passed


def _tool(*command: str) -> Callable[[], Outcome]:
    def check() -> Outcome:
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=WITHIN_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return False, str(error)
        output = (done.stdout + done.stderr).strip()
        return done.returncode == 0, "" if done.returncode == 0 else output

    return check


def breaking() -> Outcome:
    """Compares the contracts with those of the newest release, or of the main branch."""
    reference = next(_references(), None)
    if reference is None:
        return True, "no tag or main branch holds contracts yet: nothing to compare with"
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch) / "before.binpb"
        before.write_bytes(_git("show", f"{reference}:{IMAGE}"))
        passed, said = _tool("buf", "breaking", IMAGE, "--against", str(before), "--path", OURS)()
    return passed, said or f"compared with {reference}"


def _references() -> Iterator[str]:
    newest = _git("describe", "--tags", "--abbrev=0").decode().strip()
    for reference in (newest, "origin/main", "main"):
        if reference and _git("cat-file", "-t", f"{reference}:{IMAGE}") == b"blob\n":
            yield reference


def _git(*arguments: str) -> bytes:
    """Output of git; empty where it has no answer."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            capture_output=True,
            timeout=GIT_WITHIN_S,
            check=False,
        )
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def fresh() -> Outcome:
    """Generates the code once more and compares it with what is committed."""
    generator = _generator()
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "gen"
        generator.generate(target)
        differing = sorted(_differences(target, ROOT / "protos" / "gen"))
    if differing:
        return False, "\n".join(["stale, run ./writer protos:", *differing])
    return True, ""


def _differences(fresh: Path, committed: Path) -> Iterator[str]:
    def files(root: Path) -> set[Path]:
        return {
            path.relative_to(root)
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    for path in files(fresh) ^ files(committed):
        yield str(path)
    for path in files(fresh) & files(committed):
        if not filecmp.cmp(fresh / path, committed / path, shallow=False):
            yield str(path)


def _generator() -> ModuleType:
    """protos/generate.py, which is a script and no part of the installed package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("protos/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECKS: tuple[tuple[str, Callable[[], Outcome]], ...] = (
    ("ruff check", _tool("ruff", "check", ".")),
    ("ruff format", _tool("ruff", "format", "--check", ".")),
    ("mypy", _tool("mypy")),
    ("lint-imports", _tool("lint-imports")),
    ("buf lint", _tool("buf", "lint", IMAGE, "--path", OURS)),
    ("buf breaking", breaking),
    ("generated code is fresh", fresh),
    (
        "compose file",
        _tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"),
    ),
)
