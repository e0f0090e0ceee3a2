"""Absolute addresses of the pages around a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gateway.transcoding.conversion import Rows
from gateway.transcoding.parameters import PAGE, Query

_HOST = re.compile(rb"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
PAGE_TOKEN = "page_token"  # noqa: S105  the name of a query parameter


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the links of one gateway."""

    public_url: str = ""
    """Scheme and authority that clients see; taken from the request when empty."""

    def around(
        self,
        scope: Mapping[str, Any],
        headers: Mapping[bytes, bytes],
        query: Query,
        rows: Rows,
        *,
        skip_max: int,
    ) -> tuple[str | None, str | None]:
        """Links to the next and the previous page; None where there is none.

        Pages are counted up to `skip_max` rows; from there on the link continues by token.
        """
        skipped = (query.page - 1) * query.page_size
        more = bool(rows.next_token) if query.by_token else skipped + rows.count < rows.total
        following = previous = None
        if more and rows.count:
            by_page = not query.by_token and skipped + query.page_size <= skip_max
            change = {PAGE: str(query.page + 1)} if by_page else {PAGE_TOKEN: rows.next_token}
            following = self._link(scope, headers, change)
        if query.page > 1:
            previous = self._link(scope, headers, {PAGE: str(query.page - 1)})
        return following, previous

    def _link(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], change: dict[str, str]
    ) -> str:
        pairs = [
            (name, text)
            for name, text in parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
            if name not in {PAGE, PAGE_TOKEN}
        ]
        path = scope.get("raw_path", b"").split(b"?")[0].decode() or scope["path"]
        return f"{self._base(scope, headers)}{path}?{urlencode([*pairs, *change.items()])}"

    def _base(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        if self.public_url:
            return self.public_url
        host = headers.get(b"host", b"")
        if _HOST.fullmatch(host) is None:
            server = scope.get("server") or ("localhost", None)
            host = f"{server[0]}:{server[1]}".encode() if server[1] else str(server[0]).encode()
        return f"{scope['scheme']}://{host.decode()}"
