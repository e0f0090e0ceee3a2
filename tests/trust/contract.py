"""Every RPC as its descriptor declares it, and every field that a caller fills.

The world is closed: each text that a caller may send is known by its name, either as something
that names a thing (and what kind of thing) or as plain words. What is not known fails, so that a
new field cannot stay outside of the matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from writer.options.v1 import options_pb2

IMAGE = Path(__file__).resolve().parents[2] / "protos" / "gen" / "writer" / "api.binpb"
BASE = "/api/v1/"
VERBS = ("get", "post", "patch", "put", "delete")

KIND_BY_COLLECTION = {
    "writer/tasks": "task",
    "writer/runs": "run",
    "writer/content": "content",
    "writer/taxonomies": "taxonomy",
    "writer/clusters": "cluster",
    "writer/images": "image",
    "billing/budgets": "budget",
    "billing/credits/transactions": "transaction",
    "billing/credits/grants": "grant",
    "auth/accounts": "account",
    "auth/users": "user",
    "auth/api_keys": "api_key",
    "auth/invitations": "invitation",
    "auth/sites": "site",
    "auth/sectors": "sector",
}
"""What `id` and `ids` name, by the collection in the route."""
KIND_BY_NAME = {
    "site_id": "site",
    "limited_site_id": "site",
    "active_site_id": "site",
    "granted_site_ids": "site",
    "sector_id": "sector",
    "cluster_id": "cluster",
    "taxonomy_term_id": "taxonomy",
    "task_id": "task",
    "content_id": "content",
    "run_id": "run",
    "api_key_id": "api_key",
    "transaction_id": "transaction",
    "corrected_transaction_id": "transaction",
    "idea_id": "idea",
    "actor": "actor",
    "request_id": "request",
    "page_token": "page_token",
    "etag": "etag",
}
"""What other fields name, by their name."""
KIND_BY_PATH = {
    "writer.billing.v1.Budget.scope_id": "site",
    "writer.billing.v1.ListBudgetsRequest.scope_id": "site",
    "writer.billing.v1.ReservationItem.key": "reservation",
    "writer.billing.v1.CommitReservationRequest.key": "reservation",
    "writer.billing.v1.VoidReservationRequest.key": "reservation",
    "writer.billing.v1.GetReservationRequest.key": "reservation",
    "writer.billing.v1.UsageDetail.object_id": "generation",
    "writer.identity.v1.ListAuditEntriesRequest.object_id": "api_key",
    "writer.images.v1.GetImageFileRequest.id": "image",
    "writer.identity.v1.Site.default_sector_id": "sector",
    "writer.tasks.v1.GenerationSummary.id": "generation",
}
"""Where neither tells."""
SECRETS = {"password", "current_password", "new_password", "token", "refresh_token"}
"""Fields that prove who somebody is: whoever has them is him."""
WORDS = {
    "account_name": "Account",
    "action": "user.updated",
    "allowed_origins": "https://app.example.com",
    "description": "Words",
    "email": "somebody@example.com",
    "keywords": "care",
    "model": "any",
    "name": "Name",
    "order_by": "",
    "plan": "no-such-plan",
    "prompt_override": "Words",
    "reason": "Because",
    "search": "a",
    "sector_name": "Sector",
    "site_name": "Site",
    "title": "Title",
    "url": "https://example.com",
    "variant": "",
}
"""Plain text, which names no thing of an account, with a value that is allowed."""
PLAIN_MESSAGES = {"google.protobuf.Timestamp", "google.protobuf.FieldMask"}
NAMES_A_THING = re.compile(r"(.*_)?ids?")
TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}


class UnknownField(Exception):
    """The matrix does not know what a field names."""


@dataclass(frozen=True)
class Slot:
    """A field that a caller fills, somewhere in a request."""

    path: tuple[str, ...]
    desc: FieldDescriptor
    kind: str
    """What the field names; empty for plain values."""
    is_needed: bool
    """Whether a request without it would be refused as incomplete."""
    is_inert: bool
    """Whether only the service sets it, so that what a caller says is nothing."""
    lists: tuple[bool, ...]
    """For each step of the path: whether it is a list."""

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Method:
    """One RPC, its policy and its route."""

    service: str
    name: str
    policy: options_pb2.MethodPolicy
    verb: str
    template: str
    body: str
    request: Descriptor
    response: Descriptor
    is_stream: bool
    slots: tuple[Slot, ...] = field(repr=False)

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    @property
    def peer(self) -> str:
        return self.service.split(".")[1]

    @property
    def level(self) -> str:
        return options_pb2.Access.Level.Name(self.policy.access)

    @property
    def is_read(self) -> bool:
        return self.name.startswith(("Get", "List", "Summarize", "Quote"))

    @property
    def path_names(self) -> list[str]:
        return re.findall(r"\{([a-z_]+)\}", self.template)

    def naming(self, *kinds: str) -> list[Slot]:
        """The slots of these kinds; of all that name a thing when none is given."""
        return [slot for slot in self.slots if slot.kind and (not kinds or slot.kind in kinds)]

    def __str__(self) -> str:
        return f"{self.service.rpartition('.')[2]}.{self.name}"


def image() -> descriptor_pb2.FileDescriptorSet:
    """The descriptors that the servers and the gateway are built from."""
    return descriptor_pb2.FileDescriptorSet.FromString(IMAGE.read_bytes())


@cache
def methods() -> tuple[Method, ...]:
    """Every RPC of the project."""
    return tuple(walk(image()))


def walk(files: descriptor_pb2.FileDescriptorSet) -> Iterator[Method]:
    """Every RPC in these files. Raises UnknownField, or ValueError for one without a policy."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    for file in files.file:
        for service in file.service:
            for declared in service.method:
                desc = pool.FindMethodByName(f"{file.package}.{service.name}.{declared.name}")
                yield _method(f"{file.package}.{service.name}", declared, desc)


def _method(service, declared, desc) -> Method:
    policy = declared.options.Extensions[options_pb2.policy]
    if policy.access == options_pb2.Access.level_unspecified:
        raise ValueError(f"{service}.{declared.name} declares no access")
    rule = declared.options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern") or ""
    if rule.additional_bindings or (verb and verb not in VERBS):
        raise UnknownField(f"{service}.{declared.name} has a route of a form that is not known")
    template = getattr(rule, verb) if verb else ""
    return Method(
        service=service,
        name=declared.name,
        policy=policy,
        verb=verb.upper(),
        template=template,
        body=rule.body,
        request=desc.input_type,
        response=desc.output_type,
        is_stream=declared.server_streaming,
        slots=tuple(_slots(desc.input_type, template, (), (), is_needed=True)),
    )


def _slots(message, template, path, lists, *, is_needed, is_inert=False) -> Iterator[Slot]:
    for desc in message.fields:
        options = _options(desc)
        behaviors = options.Extensions[field_behavior_pb2.field_behavior]
        inert = is_inert or field_behavior_pb2.OUTPUT_ONLY in behaviors
        rules = options.Extensions[validate_pb2.field]
        here, steps = (*path, desc.name), (*lists, desc.is_repeated)
        needed = (
            is_needed
            and not inert
            and (field_behavior_pb2.REQUIRED in behaviors or _demands(rules) or desc.name == "etag")
        )
        inner = desc.message_type
        if inner is not None and inner.full_name not in PLAIN_MESSAGES:
            if inner.GetOptions().map_entry or inner.full_name.startswith("google."):
                raise UnknownField(f"{desc.full_name} is of a type that is not known")
            yield from _slots(inner, template, here, steps, is_needed=needed, is_inert=inert)
        elif not inert or NAMES_A_THING.fullmatch(desc.name):
            yield Slot(here, desc, _kind(desc, template), needed, inert, steps)


def _kind(desc: FieldDescriptor, template: str) -> str:
    """What a field names; empty for what names nothing. Raises UnknownField."""
    if desc.type not in TEXTS:
        return ""
    if desc.full_name in KIND_BY_PATH:
        return KIND_BY_PATH[desc.full_name]
    if desc.name in {"id", "ids"}:
        for collection in _collections(template):
            if collection in KIND_BY_COLLECTION:
                return KIND_BY_COLLECTION[collection]
        raise UnknownField(f"{desc.full_name}: nobody knows what {template or 'it'} is about")
    if desc.name in KIND_BY_NAME:
        return KIND_BY_NAME[desc.name]
    if desc.name in WORDS or desc.name in SECRETS:
        return ""
    raise UnknownField(f"{desc.full_name} is not known: does it name a thing of an account?")


def _collections(template: str) -> tuple[str, ...]:
    """`writer/tasks` of `/api/v1/writer/tasks/{id}/verb`, `…/tasks/verb` and `…/tasks`."""
    path = template.removeprefix(BASE)
    before, braces, _ = path.partition("/{")
    return (before,) if braces else (path.rpartition("/")[0], path)


def _demands(rules: validate_pb2.FieldRules) -> bool:
    """Whether the rules refuse the value of a field that is not given."""
    if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        return False
    return bool(
        rules.required
        or rules.string.min_len
        or rules.string.uuid
        or rules.string.email
        or rules.repeated.min_items
        or 0 in rules.enum.not_in
        or (getattr(rules.enum, "in") and 0 not in getattr(rules.enum, "in"))
        or 0 in rules.int32.not_in
        or rules.int32.gte > 0
    )


def _options(desc: FieldDescriptor) -> descriptor_pb2.FieldOptions:
    # The pool's own options do not know the extensions of the generated modules.
    return descriptor_pb2.FieldOptions.FromString(desc.GetOptions().SerializeToString())


def rules_of(desc: FieldDescriptor) -> validate_pb2.FieldRules:
    """The rules that the contract declares for a field."""
    return _options(desc).Extensions[validate_pb2.field]


def message_class(desc: Descriptor):
    """The class of a message that was found in a descriptor."""
    return message_factory.GetMessageClass(desc)
