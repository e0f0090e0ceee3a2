"""What schemathesis must know about this API beyond its document.

Two tables: refusals that no schema can foresee, and spellings that proto JSON takes beyond the
one that the document describes. Everything else is judged by schemathesis' own checks.
"""

import json
import os
import re
from importlib import resources

import schemathesis
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from schemathesis.checks import CHECKS
from schemathesis.core.failures import Failure, FailureGroup

from gateway.contracts import load_contracts
from gateway.openapi.names import operation_id

SCOPE = {"site_id": os.environ["FUZZ_SITE_ID"], "sector_id": os.environ["FUZZ_SECTOR_ID"]}
CLUSTER_ID = os.environ["FUZZ_CLUSTER_ID"]

# Reasons that depend on what is stored, not on how a request is written.
UNFORESEEABLE = {
    "PAGE_TOKEN_INVALID": "a token is made by the list that it belongs to",
    "ETAG_MISMATCH": "a revision is made by the resource",
    "REQUEST_ID_REUSED": "the key was used before",
    "INSUFFICIENT_CREDITS": "the balance is what it is",
}
# The same of INVALID_FIELDS, by what is said about the field.
UNFORESEEABLE_FIELDS = re.compile(
    "|".join(
        (
            "there is no ",  # a reference to something else
            "is too far: continue with page_token",  # page and page_size together
            "cannot be combined with page_token",
            "must be (a time )?in the future",
            "must be after ",  # of two times
            "must be at most [0-9]+ days before ",
            "appears twice",  # of the keys of several items
            "must be from 2000 to 2200",
            "must be viewer, editor or admin",  # of a key's role
            "has no price",
            "must all belong to one site",
            "is given more than once",  # the scope, at two places
            "must be at most [0-9,]+ for this account",
        )
    )
)
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("writer").joinpath("api.binpb").read_bytes()
).file:
    POOL.Add(_file)
BINDINGS = {operation_id(binding): binding for binding in load_contracts().bindings}


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Of well-formed requests: one scope, and references to what there is."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for place in (case.query, case.body):
        if isinstance(place, dict):
            for name in SCOPE:
                place.pop(name, None)
    if case.method == "POST" and isinstance(case.body, dict):
        if "cluster_id" in case.body:
            case.body["cluster_id"] = CLUSTER_ID
        if case.path == "/api/v1/auth/sectors":
            case.body["site_id"] = SCOPE["site_id"]


def unforeseeable(response):
    """Whether a refusal depends on what is stored."""
    try:
        document = json.loads(response.content)
    except ValueError:
        return False
    if document.get("code") in UNFORESEEABLE:
        return True
    said = [text for texts in document.get("errors", {}).values() for text in texts]
    return bool(said) and all(UNFORESEEABLE_FIELDS.search(text) for text in said)


def is_other_spelling(case):
    """Whether the oracle reads the body as a message: numbers in quotes, camel case, null."""
    binding = BINDINGS.get(case.operation.definition.raw.get("operationId", ""))
    if binding is None or not binding.body or not isinstance(case.body, dict):
        return False
    desc = binding.method.request
    if binding.body != "*":
        desc = next(f for f in desc.fields if f.name == binding.body).value.message
    body = {key: value for key, value in case.body.items() if key not in SCOPE}
    kind = message_factory.GetMessageClass(POOL.FindMessageTypeByName(desc.type_name))
    try:
        json_format.ParseDict(body, kind())
    except json_format.ParseError:
        return False
    return True


def replaced(name, passes):
    """The check of this name, that lets what `passes` go."""
    original = CHECKS.get_one(name)

    def check(ctx, response, case):
        try:
            return original(ctx, response, case)
        except (Failure, FailureGroup):
            if passes(response, case):
                return None
            raise

    check.__name__ = f"{name}_beyond_the_tables"
    schemathesis.check(check)


replaced("positive_data_acceptance", lambda response, _case: unforeseeable(response))
replaced("negative_data_rejection", lambda _response, case: is_other_spelling(case))


@schemathesis.check
def a_reason_is_documented(_ctx, response, case):
    """The reason of a refusal is one that the operation names for this status."""
    if response.status_code < 400 or response.status_code == 405:
        return
    code = json.loads(response.content)["code"]
    raw = case.operation.definition.raw
    found = raw["responses"].get(str(response.status_code), {})
    named = found.get("$ref", "").rpartition("/")[2]
    components = case.operation.schema.raw_schema["components"]["responses"]
    documented = components.get(named, found).get("x-error-codes", [])
    assert code in documented, f"{response.status_code} {code} is none of {documented}"
