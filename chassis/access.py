"""Who may call what: the policies in the contracts, and the one table from roles to levels."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from writer.options.v1 import options_pb2

from chassis.caller import GATEWAY, Caller
from chassis.errors import Forbidden, Unauthenticated

_Level = options_pb2.Access

_READ = frozenset({_Level.read})
_EDIT = _READ | {_Level.write, _Level.usage}
_MANAGE = _EDIT | {_Level.publish, _Level.manage}
_OPERATE = _MANAGE | {_Level.operate}
LEVELS: dict[str, frozenset[int]] = {
    "viewer": _READ,
    "editor": _EDIT,
    "admin": _MANAGE,
    "owner": _MANAGE,
    "developer": _OPERATE,
    "system_bot": _OPERATE,
}
"""What each role of a user or key may do."""


def policy_of(method: MethodDescriptor) -> options_pb2.MethodPolicy:
    """The method's policy. Raises ValueError when it declares none: nothing is open by default."""
    policy: options_pb2.MethodPolicy = method.GetOptions().Extensions[options_pb2.policy]
    if policy.access == _Level.level_unspecified:
        raise ValueError(f"{method.full_name} declares no access")
    return policy


def policies(services: Iterable[str]) -> dict[str, options_pb2.MethodPolicy]:
    """Policies by gRPC path, such as `/writer.tasks.v1.TaskService/GetTask`."""
    pool = descriptor_pool.Default()
    found = {}
    for name in services:
        service = pool.FindServiceByName(name)
        for method in service.methods:
            found[f"/{name}/{method.name}"] = policy_of(method)
    return found


def require(role: str, level: int) -> None:
    """Lets a user or key of this role pass, or raises Forbidden."""
    if level not in LEVELS.get(role, frozenset()):
        raise Forbidden("ROLE_FORBIDDEN", "Your role does not allow this.")


def require_whole_account(caller: Caller) -> None:
    """Who is limited to some sites has no say over what belongs to the account as a whole.

    A policy does not know: it is asked by the use cases that decide for the account. Raises
    Forbidden.
    """
    if caller.allowed_sites is not None:
        raise Forbidden(
            "SITE_FORBIDDEN", "Who is limited to some sites has no say over the whole account."
        )


def check(policy: options_pb2.MethodPolicy, caller: Caller) -> None:
    """Lets the call pass, or raises Forbidden or Unauthenticated."""
    if caller.issuer != GATEWAY:
        if caller.issuer not in policy.callers:
            raise Forbidden("ROLE_FORBIDDEN", "This service may not call this method.")
        return
    if policy.access == _Level.public:
        return
    if policy.access == _Level.internal:
        if GATEWAY not in policy.callers or caller.principal != f"service:{GATEWAY}":
            raise Forbidden("ROLE_FORBIDDEN", "This method is for services only.")
        return
    if not caller.account_id or caller.principal == "anonymous":
        raise Unauthenticated
    require(caller.role, policy.access)
    if policy.needs_sector and not (caller.site_id and caller.sector_id):
        raise Forbidden("SITE_FORBIDDEN", "A site and a sector must be chosen.")
