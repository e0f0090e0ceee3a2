"""Writes protos/gen from the contracts with the pinned generators: `python protos/generate.py`.

The wheel of protovalidate carries its generated code but not its .proto file, so protoc is
handed the descriptor inside it. The same image, with comments, is what buf reads.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
GEN = PROTOS / "gen"
# Reading these packages' descriptors costs nothing and spares us copies of their files.
OUTSIDE = (
    "google.api.annotations_pb2",
    "google.api.field_behavior_pb2",
    "google.protobuf.empty_pb2",
    "google.protobuf.struct_pb2",
)


def contracts() -> list[str]:
    """Paths of our .proto files, relative to protos/, in a stable order."""
    return sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "writer").rglob("*.proto"))


def outside_descriptors() -> descriptor_pb2.FileDescriptorSet:
    """What our contracts import from elsewhere, dependencies first."""
    from protovalidate._gen.buf.validate import validate_pb

    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(name: str) -> None:
        if name in files:
            return
        proto = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(proto)
        for dependency in proto.dependency:
            add(dependency)
        files[name] = proto

    for module in OUTSIDE:
        add(import_module(module).DESCRIPTOR.name)
    validate = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    for dependency in validate.dependency:
        import_module(dependency.removesuffix(".proto").replace("/", ".") + "_pb2")
        add(dependency)
    files[validate.name] = validate
    return descriptor_pb2.FileDescriptorSet(file=files.values())


def run_protoc(*arguments: str) -> None:
    """Runs protoc over everything that our contracts need. Raises SystemExit when it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        outside = Path(scratch) / "outside.binpb"
        message: Message = outside_descriptors()
        outside.write_bytes(message.SerializeToString(deterministic=True))
        code = protoc.main(["protoc", f"-I{PROTOS}", f"--descriptor_set_in={outside}", *arguments])
    if code != 0:
        raise SystemExit(f"protoc failed with exit code {code}")


def write_image(target: Path) -> None:
    """Writes the contracts, their imports and comments as one FileDescriptorSet, for buf."""
    run_protoc(
        "--include_imports", "--include_source_info", f"--descriptor_set_out={target}", *contracts()
    )


def generate(target: Path) -> None:
    """Writes messages, stubs and their type hints below `target`."""
    target.mkdir(parents=True, exist_ok=True)
    run_protoc(
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        *contracts(),
    )
    # Our messages carry rules, so their modules import the rules' module.
    run_protoc(
        f"--python_out={target}", f"--mypy_out=quiet:{target}", "buf/validate/validate.proto"
    )
    write_image(target / "writer" / "api.binpb")


def main() -> None:
    """Replaces protos/gen as a whole, so that nothing stale stays."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "gen"
        generate(fresh)
        shutil.rmtree(GEN, ignore_errors=True)
        shutil.copytree(fresh, GEN)
    print(f"{len(contracts())} contracts generated into {GEN.name}/", file=sys.stderr)


if __name__ == "__main__":
    main()
