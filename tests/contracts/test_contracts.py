"""What every contract declares, read from the same descriptors as the servers read."""

import re
from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor
from writer.options.v1 import options_pb2

from chassis.pages import COUNTED_MAX

ROOT = Path(__file__).resolve().parents[2]
IMAGE = descriptor_pb2.FileDescriptorSet.FromString(
    (ROOT / "protos" / "gen" / "writer" / "api.binpb").read_bytes()
)
OURS = [file for file in IMAGE.file if file.name.startswith("writer/")]
EVENTS = [file for file in OURS if file.package == "writer.events.v1"]
MESSAGES = {
    f".{file.package}.{message.name}": message for file in OURS for message in file.message_type
}
METHODS = {
    f"{file.package}.{service.name}/{method.name}": method
    for file in OURS
    for service in file.service
    for method in service.method
}

WIDE = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}
PAGING = {"page_size": 1, "page_token": 2, "skip": 3, "order_by": 4}
# Short catalogues of the platform, always answered whole.
UNPAGED = {"ListCostsRequest", "ListPlansRequest"}
CHARGING = {"GenerateContent"}
PARTS_OF_EVENTS = {"Brief"}
FOR_SERVICES_ALONE = {"reservation_key", "request_id", "detail"}
TENANT = ["account_id", "site_id", "sector_id"]
LINES_MAX = 350


def rule_of(method):
    return method.options.Extensions[annotations_pb2.http]


def policy_of(method):
    return method.options.Extensions[options_pb2.policy]


def fields_of(name):
    return {field.name: field for field in MESSAGES[name].field}


def test_every_method_declares_who_may_call_it():
    for name, method in METHODS.items():
        policy = policy_of(method)
        assert policy.access != options_pb2.Access.level_unspecified, name
        assert set(policy.callers) <= {"gateway", "tasks", "content", "images", "billing"}, name
        assert policy.callers or policy.access != options_pb2.Access.internal, name


def test_all_but_internal_methods_and_streams_have_a_route():
    for name, method in METHODS.items():
        routed = rule_of(method).WhichOneof("pattern") is not None
        internal = policy_of(method).access == options_pb2.Access.internal
        assert routed != (internal or method.server_streaming), name


def test_a_method_is_named_by_its_request_and_takes_one():
    for name, method in METHODS.items():
        assert method.input_type.endswith(f".{method.name}Request"), name
        assert not method.client_streaming, name


def test_a_list_has_the_paging_fields_and_a_total():
    lists = {name: m for name, m in METHODS.items() if m.name.startswith("List")}
    assert lists
    for name, method in lists.items():
        if method.input_type.rpartition(".")[2] not in UNPAGED:
            fields = fields_of(method.input_type).items()
            assert {key: f.number for key, f in fields if key in PAGING} == PAGING, name
            assert {"next_page_token", "total_size"} <= set(fields_of(method.output_type)), name


def test_a_total_that_is_not_counted_to_its_end_says_so():
    says_so = f"over all pages; {COUNTED_MAX:,} means: more than {COUNTED_MAX - 1:,}."
    stores = [path for room in ("gateway", "services") for path in (ROOT / room).rglob("*.py")]
    bounded = sum(path.read_text().count("count_max=COUNTED_MAX") for path in stores)
    told = sum(path.read_text().count(says_so) for path in (ROOT / "protos").rglob("*.proto"))
    assert told == bounded > 0


def test_a_create_and_whatever_charges_can_be_repeated():
    for name, method in METHODS.items():
        if method.name.startswith(("Create", "Grant")) or method.name in CHARGING:
            field = fields_of(method.input_type)["request_id"]
            assert field.type == FieldDescriptor.TYPE_STRING, name


def test_an_update_names_its_mask():
    for name, method in METHODS.items():
        if method.name.startswith("Update"):
            assert "update_mask" in fields_of(method.input_type), name


def test_no_two_methods_share_a_route():
    routes = [
        (rule.WhichOneof("pattern"), re.sub(r"\{[^}]*\}", "{}", getattr(rule, pattern)))
        for rule in map(rule_of, METHODS.values())
        if (pattern := rule.WhichOneof("pattern"))
    ]
    assert len(routes) == len(set(routes))


def test_no_integer_that_users_see_is_wider_than_32_bits():
    wide = [
        f"{name}.{field.name}"
        for name, message in MESSAGES.items()
        for field in message.field
        if field.type in WIDE
    ]
    assert wide == []


def test_every_request_id_fits_the_table_of_replies():
    for name, message in MESSAGES.items():
        for field in message.field:
            if field.name == "request_id" and name.endswith("Request"):
                rules = field.options.Extensions[validate_pb2.field]
                assert 0 < rules.string.max_len <= 64, name


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.name)
def test_every_event_begins_with_its_tenant(file):
    for message in file.message_type:
        if message.name not in PARTS_OF_EVENTS:
            assert [field.name for field in message.field[:3]] == TENANT, message.name
            assert [field.number for field in message.field[:3]] == [1, 2, 3], message.name


def test_every_event_says_who_may_be_told_of_it():
    for file in EVENTS:
        for message in file.message_type:
            shown_to = message.options.Extensions[options_pb2.shown_to]
            declared = shown_to != options_pb2.Access.level_unspecified
            assert declared != (message.name in PARTS_OF_EVENTS), message.name


def test_what_an_event_carries_for_the_services_alone_is_hidden():
    for file in EVENTS:
        for message in file.message_type:
            for field in message.field:
                inner = field.name in FOR_SERVICES_ALONE
                assert field.options.Extensions[options_pb2.hidden] == inner, message.name


def children(kind, element):
    """What is declared inside an element, with its place in the descriptor."""
    for path, parts in {
        "file": [(4, "message_type"), (5, "enum_type"), (6, "service")],
        "message_type": [(2, "field"), (3, "nested_type"), (4, "enum_type"), (8, "oneof_decl")],
        "nested_type": [(2, "field"), (3, "nested_type"), (4, "enum_type")],
        "enum_type": [(2, "value")],
        "service": [(2, "method")],
    }.items():
        if path == kind:
            for number, part in parts:
                for index, child in enumerate(getattr(element, part)):
                    yield part, (number, index), child


def uncommented(file):
    comments = {
        tuple(location.path)
        for location in file.source_code_info.location
        if location.leading_comments.strip()
    }

    def walk(kind, element, path, name):
        for part, place, child in children(kind, element):
            if part == "nested_type" and child.options.map_entry:
                continue
            if part == "oneof_decl" and child.name.startswith("_"):
                continue
            if (*path, *place) not in comments:
                yield f"{name}.{child.name}"
            yield from walk(part, child, (*path, *place), f"{name}.{child.name}")

    return list(walk("file", file, (), file.package))


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_everything_in_a_contract_has_a_comment(file):
    assert uncommented(file) == []


def test_the_search_for_comments_finds_what_has_none():
    file = descriptor_pb2.FileDescriptorProto()
    file.CopyFrom(next(file for file in OURS if file.service))
    del file.source_code_info.location[:]
    assert len(uncommented(file)) > 20


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_a_contract_can_be_read_in_one_go(file):
    assert len((ROOT / "protos" / file.name).read_text().splitlines()) <= LINES_MAX
