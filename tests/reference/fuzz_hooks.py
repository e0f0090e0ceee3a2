"""What schemathesis must know about this API beyond its document.

Every check of schemathesis runs as it is. The tables name the cases in which one is wrong for a
server that is right: refusals that no schema can foresee, and spellings that proto JSON takes
beyond the one that the document describes.
"""

import atexit
import ipaddress
import json
import os
import re
import zlib
from collections import Counter
from importlib import resources
from pathlib import Path

import schemathesis
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from jsonschema import Draft202012Validator
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import JsonSchemaError, RejectedPositiveData

from gateway.contracts import load_contracts
from gateway.openapi import examples
from gateway.openapi.names import operation_id
from gateway.streams.facts import Catalogue
from standalone.rest import Rest

PEOPLE = json.loads(Path(os.environ["FUZZ_PEOPLE"]).read_text())
OPERATOR, SUPPLIES = PEOPLE["operator"], PEOPLE["supplies"]
SCOPE = {name: OPERATOR[name] for name in ("site_id", "sector_id")}
SCOPE_HEADERS = {"X-Site-Id": SCOPE["site_id"], "X-Sector-Id": SCOPE["sector_id"]}

LEAVER = SUPPLIES["leaver"]
SUSPENDED_ID, CANCELLED_ID = SUPPLIES["account_ids"]
# Ids that the answers of other operations do not supply, or whose use would end the run.
IDS = {
    "cancel_account": CANCELLED_ID,
    "suspend_account": SUSPENDED_ID,
    "reactivate_account": SUSPENDED_ID,
    "get_image_file": OPERATOR["image_id"],
    "watch_run": OPERATOR["run_id"],
    **dict.fromkeys(
        (
            "get_user",
            "update_user",
            "deactivate_user",
            "reactivate_user",
            "add_site_access",
            "remove_site_access",
        ),
        SUPPLIES["user_id"],
    ),
}
# The same in bodies.
REFERENCES = {
    "create_sector": {"site_id": SCOPE["site_id"]},
    "refund_credits": {"transaction_id": OPERATOR["transaction_id"]},
    "bulk_update_tasks": {"ids": [SUPPLIES["task_id"]]},
    "change_password": dict.fromkeys(("current_password", "new_password"), LEAVER["password"]),
}
# Who does this has a session less: a colleague does, in a session of its own.
ENDS_SESSIONS = {"logout", "change_password"}
# What lists and resources make, and nobody guesses: mostly left out of well-formed requests.
GUESSES = ("page_token", "If-Match")
GUESSED_ONE_IN = 4
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
            "differs from the header",  # the same
            "must be at most [0-9,]+ for this account",
            "^is wrong$",  # the present password
            "must be an origin such as",  # scheme, host and port, as no pattern says it
            "cannot replace per_",  # of the unit that an operation has
            "must not contain the character U\\+0000",  # what the document says in its beginning
        )
    )
)
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("writer").joinpath("api.binpb").read_bytes()
).file:
    POOL.Add(_file)
BINDINGS = {operation_id(binding): binding for binding in load_contracts().bindings}
EVENT_TYPES = Catalogue(load_contracts()).types
STREAM_EVENTS = {"run", "reset", "end", "paused", "resumed"}
TALLY = Counter()
TOKEN = "Bearer ey"
ADDRESSES = ipaddress.ip_network("10.0.0.0/8").hosts()


def name_of(case):
    return case.operation.definition.raw["operationId"]


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Of well-formed requests: one scope, and references to what there is."""
    for name, value in (case.path_parameters or {}).items():
        # An empty field taken for an id: the request would be one of another operation.
        if value in {"", ".", ".."}:
            case.path_parameters[name] = examples.ID
    # Wrong passwords lock addresses out.
    case.headers["X-Forwarded-For"] = str(next(ADDRESSES))
    if name_of(case) in ENDS_SESSIONS and case.headers.get("Authorization", "").startswith(TOKEN):
        session = Rest(PEOPLE["url"]).post("auth/login", LEAVER)
        case.headers["Authorization"] = f"Bearer {session['access_token']}"
    if case.meta is not None and case.meta.generation.mode.is_positive:
        choose_scope(case)
        leave_out_guesses(case)
        refer(case)
    else:
        for name, value in SCOPE_HEADERS.items():
            case.headers.setdefault(name, value)


def choose_scope(case):
    """The operator's site and sector, once."""
    # The neighbour tries the same reads of one thing, and would be refused for the site alone.
    reads_one = case.method == "GET" and "{" in case.path
    for name, value in SCOPE_HEADERS.items():
        if reads_one:
            case.headers.pop(name, None)
        else:
            case.headers[name] = value
    for place in (case.query, case.body):
        if isinstance(place, dict):
            for name in SCOPE:
                place.pop(name, None)


def leave_out_guesses(case):
    """Of revisions and page tokens that nobody has made."""
    for place in (case.query, case.headers):
        for name in GUESSES:
            if name in place and zlib.crc32(str(place[name]).encode()) % GUESSED_ONE_IN:
                del place[name]


def refer(case):
    """References to what there is, in place of such that nothing has."""
    name = name_of(case)
    if name in IDS:
        case.path_parameters["id"] = IDS[name]
    if "site_id" in (case.path_parameters or {}):
        case.path_parameters["site_id"] = SCOPE["site_id"]
    if case.method != "POST" or not isinstance(case.body, dict):
        return
    if "cluster_id" in case.body:
        case.body["cluster_id"] = OPERATOR["cluster_id"]
    case.body |= REFERENCES.get(name, {})
    if name == "auto_generate_content" and SUPPLIES["task_ids"]:
        case.body["ids"] = [SUPPLIES["task_ids"].pop()]
    elif name == "accept_invitation" and SUPPLIES["tokens"]:
        case.body["token"] = SUPPLIES["tokens"].pop()


@schemathesis.hook
def after_call(_context, case, response):
    """Counts what was sent and how it was answered."""
    phase = case.meta.phase.name.value if case.meta else "other"
    TALLY[phase, name_of(case), response.status_code] += 1


@atexit.register
def write_tally():
    rows = [[*key, count] for key, count in sorted(TALLY.items())]
    Path(os.environ["FUZZ_TALLY"]).write_text(json.dumps(rows))


@schemathesis.hook
def filter_failure(_context, failure, case, response):
    """Whether what a check found is one; False for what the tables name."""
    if isinstance(failure, RejectedPositiveData):
        return not is_unforeseeable(case, response)
    if isinstance(failure, JsonSchemaError) and failure.title == "SSE event violates schema":
        # OpenAPI 3.1 describes a stream as one text; schemathesis compares each event with that.
        # What an event is, is checked below.
        return False
    if isinstance(failure, AcceptedNegativeData):
        return not is_other_spelling(case)
    return True


def is_stream(response):
    return response.headers.get("content-type", [""])[0].startswith("text/event-stream")


def is_unforeseeable(case, response):
    """Whether a refusal depends on what is stored."""
    try:
        document = json.loads(response.content)
    except ValueError:
        return False
    if document.get("code") in UNFORESEEABLE:
        return True
    if document.get("error") == "The body names no field to change.":
        # A scope counts as a property, but is none.
        return case.method == "PATCH" and not case.body
    said = [
        text
        for name, texts in document.get("errors", {}).items()
        for text in texts
        if not is_emptied(case, name, text)
    ]
    return bool(document.get("errors")) and all(UNFORESEEABLE_FIELDS.search(text) for text in said)


def is_emptied(case, name, text):
    """Whether a PATCH empties, with null or blanks, what is needed: it may be absent there."""
    value = case.body.get(name, "-") if isinstance(case.body, dict) else "-"
    blank = value is None or (isinstance(value, str) and not value.strip())
    return case.method == "PATCH" and blank and text == "is required"


def is_other_spelling(case):
    """Whether the body is a valid one spelled otherwise: in quotes, in camel case, with null.

    The oracle reads it as a message; what it writes of that must fit the schema.
    """
    wrong = {place for place, part in case.meta.components.items() if part.mode.is_negative}
    binding = BINDINGS.get(name_of(case))
    if wrong != {ParameterLocation.BODY} or binding is None or not isinstance(case.body, dict):
        return False
    desc = binding.method.request
    if binding.body != "*":
        desc = next(f for f in desc.fields if f.name == binding.body).value.message
    scope = {name: case.body[name] for name in SCOPE if case.body.get(name) is not None}
    body = {name: value for name, value in case.body.items() if name not in SCOPE}
    kind = message_factory.GetMessageClass(POOL.FindMessageTypeByName(desc.type_name))
    try:
        read = json_format.ParseDict(body, kind())
    except json_format.ParseError:
        return False
    spelled = json_format.MessageToDict(read, preserving_proto_field_name=True) | scope
    return validator_of(case).is_valid(spelled)


def validator_of(case):
    """Of the body that the document describes for this operation."""
    content = case.operation.definition.raw["requestBody"]["content"]
    components = case.operation.schema.raw_schema["components"]
    return Draft202012Validator({**content["application/json"]["schema"], "components": components})


@schemathesis.check
def an_event_has_a_name_an_object_and_a_place(_ctx, response, case):
    """What a stream has told is in the form that its description says."""
    if not is_stream(response):
        return
    for block in response.text.split("\n\n"):
        lines = [line.partition(": ")[::2] for line in block.splitlines() if line[:1] != ":"]
        fields = dict(lines)
        assert len(fields) == len(lines), block
        assert fields.keys() <= {"retry", "id", "event", "data"}, block
        assert re.fullmatch(r"[0-9]{1,18}|end", fields.get("id", "0")), block
        if "data" in fields:
            assert fields["event"] in {*EVENT_TYPES, *STREAM_EVENTS}, block
            assert isinstance(json.loads(fields["data"]), dict), block


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
