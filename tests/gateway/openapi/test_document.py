"""The document is valid, complete, and says what the contracts and the gateway say."""

import ast
import inspect
import re
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate
from protobuf import DescService

from chassis.errors import InvalidFields, Kind
from gateway.http import edge, errors, protocol
from gateway.openapi import codes, examples, inputs
from gateway.openapi.comments import Comments, first_sentence
from gateway.openapi.rules import is_needed
from gateway.streams.facts import Catalogue
from gateway.transcoding.binding import ID_CHARS_MAX, _header_text

ROOT = Path(__file__).resolve().parents[3]
# Of generations and pictures, which are resources: no call is refused with these.
OF_RESOURCES = {
    "PROVIDER_REFUSED",
    "PROVIDER_UNAVAILABLE",
    "PROVIDER_OUTPUT_INVALID",
    "PROVIDER_TRUNCATED",
}
# A verb that an address does not have; what no contract does yet; what services alone are told.
OF_NO_OPERATION = {"METHOD_NOT_ALLOWED", "NOT_READY_TO_PUBLISH", "RESERVATION_EXPIRED"}


def test_the_document_is_valid_openapi_3_1(document):
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_every_route_is_described_and_nothing_else(app, document):
    described = {(verb.upper(), path) for path, item in document["paths"].items() for verb in item}
    declared = {route for route in app._app.routes.declared if route[0] != "HEAD"}
    assert described <= declared
    # The reference does not describe itself.
    rest = {path for _, path in declared - described}
    assert {path for path in rest if not path.startswith("/api/docs/")} == {
        "/api/docs",
        "/api/openapi.json",
    }


def test_the_names_of_operations_are_stable(operations):
    assert {
        "list_tasks",
        "create_task",
        "get_task",
        "auto_generate_content",
        "get_run",
        "login",
        "list_api_keys",
        "get_image_file",
    } <= operations.keys()


def test_an_operation_has_an_id_of_its_own_and_says_what_it_does(document, operations):
    assert len(operations) == sum(len(item) for item in document["paths"].values())
    for name, operation in operations.items():
        assert name == name.lower()
        assert name.isidentifier()
        assert operation["summary"], name
        assert not operation["summary"].endswith("."), name
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}, name


def test_every_field_and_enum_value_is_explained(document):
    silent = [
        f"{name}.{key}"
        for name, schema in document["components"]["schemas"].items()
        for key, inner in schema.get("properties", {}).items()
        if not inner.get("description") and not name.endswith(("Envelope", "Page", "Error"))
    ]
    assert silent == []
    assert (
        "- `listicle`: A list of things."
        in (document["components"]["schemas"]["ContentStructure"]["description"])
    )


def test_a_summary_is_the_first_sentence_of_the_comment(operations):
    assert operations["get_task"]["summary"] == "Returns one task"
    assert operations["get_task"]["description"].startswith("Returns one task. NOT_FOUND also")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One thing. Another.", "One thing."),
        ("Lists e.g. this\n\nMore.", "Lists e.g. this"),
        ("A. b. C", "A. b."),
        ("", ""),
    ],
)
def test_a_sentence_ends_before_a_capital_letter(text, first):
    assert first_sentence(text) == first


def test_limits_come_from_the_rules(document):
    task = document["components"]["schemas"]["CreateTaskRequest"]
    title = task["properties"]["title"]
    assert (title["minLength"], title["maxLength"], title["type"]) == (1, 500, "string")
    assert task["properties"]["word_count"]["minimum"] == 100
    assert task["properties"]["keywords"]["type"] == ["string", "null"]
    assert task["required"] == ["title", "cluster_id", "content_type", "content_structure"]
    assert "status" not in task["properties"]
    assert task["additionalProperties"] is False
    ids = document["components"]["schemas"]["GenerateContentRequest"]["properties"]["ids"]
    assert (ids["minItems"], ids["maxItems"], ids["uniqueItems"]) == (1, 10, True)
    assert ids["items"]["maxLength"] == 64


def test_a_field_is_needed_when_its_absence_is_refused(contracts):
    def needed(message):
        fields = contracts.registry.message(message).fields
        return {field.name for field in fields if is_needed(contracts, field)}

    assert needed("writer.billing.v1.AdjustCreditsRequest") >= {"credits", "reason", "request_id"}
    assert needed("writer.billing.v1.UpdateBudgetRequest") == {"id", "credits"}
    assert needed("writer.tasks.v1.ListTasksRequest") == set()


def test_what_is_answered_always_has_what_the_gateway_always_writes(document):
    task = document["components"]["schemas"]["Task"]
    assert {"id", "title", "status", "content_id"} <= set(task["required"])
    assert not {"create_time", "generation", "word_count"} & set(task["required"])


def test_a_list_knows_its_parameters(operations):
    found = {p["name"]: p for p in operations["list_tasks"]["parameters"] if "name" in p}
    assert {"page", "page_size", "page_token", "ordering", "search", "status"} <= found.keys()
    assert "-created_at" in found["ordering"]["schema"]["enum"]
    assert found["page_size"]["schema"]["maximum"] == 100
    assert "`page_token=`" in found["page_token"]["description"]
    assert found["status"]["schema"] == {"$ref": "#/components/schemas/TaskStatusInput"}
    assert not {"skip", "order_by", "request_id"} & found.keys()


def test_the_orders_of_every_list_can_be_read_out_of_its_comment(contracts):
    comments = Comments(contracts.registry)
    for binding in contracts.bindings:
        for field in binding.method.request.fields:
            if field.name == "order_by":
                assert len(inputs.orders(comments.of_field(field))) >= 2


def test_roles_throttles_and_security_follow_the_policy(operations):
    create, login = operations["create_budget"], operations["login"]
    assert create["x-roles"] == ["admin", "owner", "developer", "system_bot"]
    assert create["x-throttle-scope"] == "billing"
    assert "Throttle: `billing`, by default 30 a minute." in create["description"]
    assert operations["list_tasks"]["x-throttle-scope"] == "writer_read"
    assert operations["create_task"]["x-throttle-scope"] == "writer_write"
    assert create["security"] == [{"accessToken": []}, {"apiKey": []}]
    assert login["security"] == []
    assert "Needs no credentials." in login["description"]


def test_an_operation_names_every_status_and_reason(document, operations):
    def reasons(name, status):
        named = operations[name]["responses"][status]["$ref"].rpartition("/")[2]
        return document["components"]["responses"][named]["x-error-codes"]

    assert reasons("auto_generate_content", "402") == ["INSUFFICIENT_CREDITS"]
    assert reasons("auto_generate_content", "409") == ["INVALID_TRANSITION"]
    assert "PAGE_TOKEN_INVALID" in reasons("list_tasks", "400")
    assert reasons("update_budget", "412") == ["ETAG_MISMATCH"]
    assert reasons("login", "401") == ["UNAUTHENTICATED"]
    assert "204" in operations["delete_budget"]["responses"]
    assert "202" in operations["auto_generate_content"]["responses"]
    assert "404" not in operations["list_tasks"]["responses"]


def test_every_reason_is_named_by_an_operation_or_belongs_to_none(document):
    named = {
        code
        for response in document["components"]["responses"].values()
        for code in response["x-error-codes"]
    }
    assert codes.CODES.keys() - named == OF_NO_OPERATION


def test_a_file_can_be_had_in_parts(operations):
    file = operations["get_image_file"]
    parameters = {each.get("name") for each in file["parameters"]}
    assert {"Range", "If-Range", "If-Match"} <= parameters
    assert "Content-Range" in file["responses"]["206"]["headers"]
    assert {"200", "206", "304", "400", "404", "408", "412", "416"} <= file["responses"].keys()


def reasons_made_in(*modules):
    """The reason of every refusal that the code of these modules makes."""
    for module in modules:
        for name in re.findall(r"\berrors\.([a-z_]+)\(", inspect.getsource(module)):
            make = getattr(errors, name)
            parameters = inspect.signature(make).parameters
            if "refusal" not in parameters:
                yield make(*(0 for _ in parameters)).reason


def test_what_is_refused_before_there_is_a_route_is_known():
    assert set(reasons_made_in(edge, protocol)) == set(codes.everywhere())


def test_every_operation_says_what_befalls_requests_that_are_none(document, operations):
    for name, operation in operations.items():
        for status, reasons in codes.grouped(codes.everywhere()).items():
            response = operation["responses"][str(status)]["$ref"].rpartition("/")[2]
            named = document["components"]["responses"][response]["x-error-codes"]
            assert set(reasons) <= set(named), (name, status)


def test_a_bulk_change_of_what_is_missing_is_documented(operations):
    found = operations["bulk_update_tasks"]["responses"]["404"]
    assert found["$ref"] == "#/components/responses/NotFound"


def test_the_types_of_events_are_those_that_can_be_asked_for(contracts, operations):
    parameters = {each.get("name"): each for each in operations["watch_events"]["parameters"]}
    types = parameters["types"]["schema"]["items"]["enum"]
    assert types == sorted(Catalogue(contracts).types)


def test_an_id_is_no_step_in_a_path(operations):
    patterns = {
        each["schema"]["pattern"]
        for operation in operations.values()
        for each in operation.get("parameters", ())
        if each.get("in") == "path"
    }
    assert inputs.SEGMENT in patterns
    for pattern in patterns:
        assert re.search(pattern, examples.ID)
        assert not any(re.search(pattern, step) for step in (".", "..", "", "a/b"))


def test_the_pattern_of_a_key_is_what_the_gateway_takes(document):
    pattern = document["components"]["parameters"]["Idempotency-Key"]["schema"]["pattern"]
    for text in (
        "a",
        "a b",
        "~" * ID_CHARS_MAX,
        "!" * (ID_CHARS_MAX + 1),
        "",
        "é",
        "a\tb",
        "a\x7f",
    ):
        try:
            taken = _header_text(text.encode("latin-1"), "Idempotency-Key") == text
        except InvalidFields:
            taken = False
        assert bool(re.search(pattern, text)) is taken, text


def test_a_patch_needs_a_body_that_names_something(document, operations):
    patches = {
        item["patch"]["operationId"] for item in document["paths"].values() if "patch" in item
    }
    assert len(patches) >= 4
    for name in patches:
        body = operations[name]["requestBody"]
        assert body["required"]
        schema = _resolved(document, body["content"]["application/json"]["schema"])
        assert schema["minProperties"] == 1


def test_every_word_in_capitals_of_a_comment_is_a_known_reason(contracts):
    comments = Comments(contracts.registry)
    unknown = {
        word
        for binding in contracts.bindings
        for word in codes.CAPITALS.findall(
            comments.of(f"{binding.method.service}.{binding.method.name}")
        )
        if "_" in word and word not in codes.CODES
    }
    assert unknown == set()


def test_the_document_speaks_of_what_rest_has(document, contracts):
    methods = {
        method.name
        for service in contracts.registry
        if isinstance(service, DescService)
        for method in service.methods
    }
    compounds = [name for name in methods if re.fullmatch(r"([A-Z][a-z0-9]*){2,}", name)]
    assert len(compounds) > 50
    elsewhere = re.compile(rf"\b({'|'.join(compounds)})\b|`(request_id|order_by|update_mask|skip)`")
    texts = list(described(document))
    assert len(texts) > 500
    assert [text for text in texts if elsewhere.search(text)] == []
    assert "Adds up the records that `list_usage` lists under the same filters" in texts


def described(element):
    """Every text for people in a part of the document."""
    if isinstance(element, list):
        for each in element:
            yield from described(each)
    if isinstance(element, dict):
        for name, value in element.items():
            if name in ("description", "summary") and isinstance(value, str):
                yield value
            else:
                yield from described(value)


def raised_reasons():
    """Reasons and kinds of every refusal in the source, where both are written out."""
    kinds = set(Kind.__members__)
    for folder in ("chassis", "services", "gateway"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or len(node.args) < 2:
                    continue
                kind, reason = node.args[:2]
                if (
                    isinstance(kind, ast.Attribute)
                    and kind.attr in kinds
                    and isinstance(reason, ast.Constant)
                    and codes.CAPITALS.fullmatch(reason.value)
                ):
                    yield reason.value, kind.attr


def test_every_reason_in_the_source_is_in_the_table_with_its_kind():
    found = dict(raised_reasons())
    assert {"INSUFFICIENT_CREDITS", "NOT_FOUND", "RESERVATION_EXPIRED"} <= found.keys()
    unknown = found.keys() - codes.CODES.keys() - OF_RESOURCES
    assert unknown == set()
    for reason in found.keys() & codes.CODES.keys():
        assert codes.CODES[reason].kind.value == found[reason], reason
    assert errors._BY_REASON.keys() <= codes.CODES.keys()


def _resolved(document, schema):
    """The schema, or what it refers to."""
    found = document
    for part in schema.get("$ref", "#").split("/")[1:]:
        found = found[part]
    return found if "$ref" in schema else schema


def test_examples_fit_their_schemas(document, operations):
    for operation in operations.values():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            schema = {**media["schema"], "components": document["components"]}
            jsonschema.Draft202012Validator(
                schema, format_checker=jsonschema.FormatChecker()
            ).validate(media["example"])
            assert media["example"] or "required" not in _resolved(document, media["schema"])
    error = {**document["components"]["schemas"]["Error"], "components": document["components"]}
    for response in document["components"]["responses"].values():
        for example in response["content"]["application/json"]["examples"].values():
            jsonschema.validate(example["value"], error)


def test_a_created_resource_links_to_what_can_be_done_with_it(operations):
    links = operations["create_budget"]["responses"]["201"]["links"]
    assert links.keys() == {"get_budget", "update_budget", "delete_budget"}
    assert operations["auto_generate_content"]["responses"]["202"]["links"].keys() >= {"get_run"}
