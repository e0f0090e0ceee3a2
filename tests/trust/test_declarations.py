"""A permission is declared once, and nothing new stays outside of the matrix.

The matrix is built from the descriptors; here it is given descriptors with something new in them,
and must refuse them.
"""

import importlib

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor
from trust import permissions
from trust.contract import UnknownField, image, methods, walk
from trust.test_foreign_ids import ONLY_NOTED, OPEN, cases
from writer.options.v1 import options_pb2

from chassis import access
from gateway.contracts import ContractError, Contracts, load_contracts

TASKS = "writer/tasks/v1/tasks.proto"
FROM_THE_SERVICE = {"page_token", "etag"}
"""Kinds that are read from answers, not made."""


def changed(change):
    """The real descriptors after a change of the contract of tasks."""
    files = image()
    file = next(each for each in files.file if each.name == TASKS)
    change(file)
    return files


def add_field(name, message="GetTaskRequest", **options):
    def change(file):
        found = next(each for each in file.message_type if each.name == message)
        field = {"name": name, "type": FieldDescriptor.TYPE_STRING, "label": 1} | options
        found.field.add(number=900, **field)

    return change


def add_method(file, *, level=None, name="ArchiveTask"):
    method = file.service[0].method.add(
        name=name, input_type=".writer.tasks.v1.GetTaskRequest", output_type=".writer.tasks.v1.Task"
    )
    if level is not None:
        method.options.Extensions[options_pb2.policy].access = level


def test_the_matrix_covers_every_rpc_of_every_service():
    declared = {
        f"/{file.package}.{service.name}/{method.name}"
        for file in image().file
        for service in file.service
        for method in service.method
    }
    assert {method.path for method in methods()} == declared
    assert {method.path for method in load_contracts().methods} == declared
    templates = {binding.template for binding in load_contracts().bindings}
    assert templates == {method.template for method in methods() if method.verb}


def test_gateway_and_services_read_the_same_declaration():
    for file in image().file:
        if file.service:
            # The pool knows what has been imported.
            importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    at_the_services = access.policies({method.service for method in methods()})
    at_the_gateway = {method.path: method for method in load_contracts().methods}
    for method in methods():
        assert at_the_services[method.path] == method.policy, method
        seen = at_the_gateway[method.path]
        told = (seen.access, seen.level, list(seen.callers), seen.needs_sector)
        policy = method.policy
        assert told == (
            method.level, policy.access, list(policy.callers), policy.needs_sector,
        ), method  # fmt: skip


def test_the_document_of_permissions_is_true():
    assert permissions.DOCUMENT.read_text() == permissions.document(), permissions.__doc__


@pytest.mark.parametrize("level", [None, options_pb2.Access.level_unspecified])
def test_an_rpc_without_a_permission_fails(level):
    files = changed(lambda file: add_method(file, level=level))
    with pytest.raises(ValueError, match="ArchiveTask declares no access"):
        list(walk(files))
    with pytest.raises(ContractError, match="ArchiveTask declares no"):
        Contracts(files.SerializeToString())


def test_a_new_rpc_with_a_permission_is_in_the_matrix():
    files = changed(lambda file: add_method(file, level=options_pb2.Access.write))
    with pytest.raises(UnknownField, match="nobody knows what it is about"):
        # Without a route nobody can tell what its id names.
        list(walk(files))


@pytest.mark.parametrize("name", ["owner_id", "owner_ids", "reference", "url_of_parent"])
def test_a_new_text_in_a_request_fails_until_it_is_known_what_it_names(name):
    with pytest.raises(UnknownField, match=name):
        list(walk(changed(add_field(name))))


@pytest.mark.parametrize("name", ["owner_id", "id_of_owner"])
def test_a_new_text_deep_in_a_body_fails(name):
    with pytest.raises(UnknownField, match=name):
        list(walk(changed(add_field(name, message="Task"))))


def test_a_new_field_that_is_known_is_a_new_case():
    [before] = [method for method in walk(image()) if method.name == "GetTask"]
    [after] = [m for m in walk(changed(add_field("run_id"))) if m.name == "GetTask"]
    kinds = [slot.kind for slot in after.naming()]
    assert kinds == [*(slot.kind for slot in before.naming()), "run"]


def test_a_field_of_any_shape_fails():
    shape = {"type": FieldDescriptor.TYPE_MESSAGE, "type_name": ".google.protobuf.Struct"}

    def change(file):
        file.dependency.append("google/protobuf/struct.proto")
        add_field("anything", **shape)(file)

    files = descriptor_pb2.FileDescriptorSet()
    # Dependencies come first.
    real = changed(change)
    struct = [each for each in real.file if each.name == "google/protobuf/struct.proto"]
    files.file.extend([*struct, *(each for each in real.file if each not in struct)])
    with pytest.raises(UnknownField, match="anything"):
        list(walk(files))


def test_every_exception_is_still_one():
    assert set(OPEN) <= {str(method) for method in methods()}
    assert set(ONLY_NOTED) <= {str(case) for case in cases()}


def test_there_is_a_thing_of_every_kind_that_a_request_names(tenants):
    kinds = {slot.kind for method in methods() for slot in method.naming()}
    for tenant in tenants:
        assert kinds - tenant.things.keys() == FROM_THE_SERVICE
