"""The committed generated code is what the contracts make today."""

import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]
GEN = ROOT / "protos" / "gen"
IMAGE = Path("writer") / "api.binpb"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What the generators write now, in a folder of its own."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    target = tmp_path_factory.mktemp("generated") / "gen"
    with pytest.MonkeyPatch.context() as patch:
        # protoc finds its plugins there.
        patch.setenv("PATH", f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
        generate.generate(target)
    return target


def files(folder):
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_there_is_no_file_too_many_and_none_too_few(fresh):
    assert files(GEN) == files(fresh)


def test_every_module_and_stub_is_fresh(fresh):
    stale = [
        str(path)
        for path in files(fresh) - {IMAGE}
        if (GEN / path).read_bytes() != (fresh / path).read_bytes()
    ]
    assert stale == [], "run protos/generate.py"


def test_the_image_with_comments_is_fresh(fresh):
    ours, now = (
        descriptor_pb2.FileDescriptorSet.FromString((folder / IMAGE).read_bytes())
        for folder in (GEN, fresh)
    )
    assert [file.name for file in ours.file] == [file.name for file in now.file]
    stale = [a.name for a, b in zip(ours.file, now.file, strict=True) if a != b]
    assert stale == [], "run protos/generate.py"
