"""Serves the document and the page that shows it, all out of the installed package.

Both are made when first asked for, in a thread, so that neither the start nor other requests
wait for them.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson

from chassis.waiting import outcome
from gateway.http import conditions
from gateway.http.answers import Answer, Headers
from gateway.http.exchange import Exchange
from gateway.http.served import Respond

DOCUMENT_PATH = "/api/openapi.json"
PAGE_PATH = "/api/docs"
_PAGE = ("page.html", "text/html; charset=utf-8")
_FILES = {
    "page.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
# Nothing is loaded from or sent to another host, and no text of the document can run as a script.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
_HEADERS: Headers = [
    (b"cache-control", b"no-cache"),
    (b"vary", b"accept-encoding"),
    (b"content-security-policy", _POLICY),
]
_GZIP = (b"content-encoding", b"gzip")


@dataclass(frozen=True, slots=True)
class Representations:
    """Bytes that stay the same while the process lives, kept in both encodings."""

    plain: bytes
    compressed: bytes
    digest: str
    media_type: bytes

    def answer(self, exchange: Exchange) -> Answer:
        """The answer to GET, or that the client has it already."""
        packed = accepts_gzip(exchange.headers.get(b"accept-encoding", b"").decode("latin-1"))
        # Two encodings are two representations: each has a tag of its own (RFC 9110, 8.8.3.3).
        tag = f'"{self.digest}-gzip"' if packed else f'"{self.digest}"'
        headers = [*_HEADERS, (b"etag", tag.encode())]
        if conditions.is_known(exchange.headers, tag):
            return Answer(304, headers=headers)
        if packed:
            headers.append(_GZIP)
        return Answer(200, self.compressed if packed else self.plain, headers, self.media_type)


def document(build: Callable[[], dict[str, Any]]) -> dict[str, Respond]:
    """The reference as data; `build` makes it."""

    def made() -> Representations:
        return _representations(orjson.dumps(build()), "application/json")

    return {DOCUMENT_PATH: _lazily(made)}


def page() -> dict[str, Respond]:
    """The page that shows the document to people, and its files."""
    return {
        PAGE_PATH: _lazily(functools.partial(_file, *_PAGE)),
        **{
            f"{PAGE_PATH}/{name}": _lazily(functools.partial(_file, name, media_type))
            for name, media_type in _FILES.items()
        },
    }


def accepts_gzip(header: str) -> bool:
    """Whether an `Accept-Encoding` takes gzip; weights matter only where they are 0."""
    taken: dict[str, bool] = {}
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        name, _, number = weight.partition("=")
        refused = name.strip() == "q" and not number.strip().strip("0.")
        taken[coding.strip()] = not refused
    return taken.get("gzip", taken.get("*", False))


def _lazily(make: Callable[[], Representations]) -> Respond:
    """An endpoint that makes its answer once, whoever asks first."""
    made: asyncio.Task[Representations] | None = None

    async def endpoint(exchange: Exchange) -> Answer:
        nonlocal made
        if made is None or (made.done() and made.exception() is not None):
            made = asyncio.create_task(asyncio.to_thread(make))
        # A client that hangs up must not take the work from those who wait with it.
        kept = await outcome(made)
        return kept.answer(exchange)

    return endpoint


def _file(name: str, media_type: str) -> Representations:
    source = resources.files("gateway.openapi").joinpath("static", name)
    return _representations(source.read_bytes(), media_type)


def _representations(body: bytes, media_type: str) -> Representations:
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Representations(body, gzip.compress(body, mtime=0), digest, media_type.encode())
