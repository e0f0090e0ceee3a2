"""Which fields an update changes (AIP-134): those that its `update_mask` names."""

from __future__ import annotations

from typing import Any

from chassis.errors import InvalidFields, Violation


def chosen(request: Any, *changeable: str, within: str = "") -> frozenset[str]:
    """The paths that a request changes; all of `changeable` when it has no mask.

    `changeable` are paths such as `title` or `seo.title`; a mask may name a field above several
    of them. `within` is the field of the request that holds the resource. Raises InvalidFields
    for every path that nobody may change.
    """
    named = dict.fromkeys(request.update_mask.paths)
    if not named:
        return frozenset(changeable)
    found: set[str] = set()
    refused = []
    for path in named:
        below = {each for each in changeable if each == path or each.startswith(f"{path}.")}
        found |= below
        if not below:
            refused.append(path)
    if refused:
        prefix = f"{within}." if within else ""
        raise InvalidFields(
            *(Violation(f"{prefix}{path}", "cannot be changed") for path in refused)
        )
    return frozenset(found)
