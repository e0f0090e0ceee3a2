"""What the contracts say, in the words that callers over REST know."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.contracts import Binding
from gateway.openapi.names import operation_id
from gateway.transcoding.parameters import PUBLIC_NAMES

_COMPOUND = re.compile(r"(?:[A-Z][a-z0-9]*){2,}")
"""The name of an RPC that is not an English word as well, as Login is."""
_FIELDS = {
    "a `request_id`": "an `Idempotency-Key`",
    "`request_id`": "`Idempotency-Key`",
    "`order_by`": f"`{PUBLIC_NAMES['order_by']}`",
}


class Wording:
    """Puts the names of operations, headers and parameters for those of RPCs and fields."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        named = {
            binding.method.name: f"`{operation_id(binding)}`"
            for binding in bindings
            if _COMPOUND.fullmatch(binding.method.name)
        }
        self._words = _FIELDS | named
        names = "|".join(sorted(named))
        fields = "|".join(re.escape(field) for field in _FIELDS)
        self._pattern = re.compile(rf"{fields}|\b(?:{names})\b" if names else fields)

    def __call__(self, text: str) -> str:
        """The text in other words."""
        return self._pattern.sub(lambda found: self._words[found[0]], text)
