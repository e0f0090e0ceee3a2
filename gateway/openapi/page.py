"""Serves the document and the page that shows it, all out of the installed package.

Both are made when first asked for, in a thread, so that neither the start nor other requests
wait for them.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

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
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Served:
    """Bytes that stay the same while the process lives, kept compressed."""

    compressed: bytes
    etag: str
    media_type: str

    def response(self, request: Request) -> Response:
        """The answer to GET, or that the client has it already."""
        headers = {
            "etag": self.etag,
            "cache-control": "no-cache",
            "vary": "accept-encoding",
            "content-security-policy": _POLICY,
        }
        if _is_known(request.headers.get("if-none-match", ""), self.etag):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(self.compressed, headers=headers, media_type=self.media_type)
        return Response(
            gzip.decompress(self.compressed), headers=headers, media_type=self.media_type
        )


def routes(build: Callable[[], dict[str, Any]]) -> list[Route]:
    """The routes of the reference; `build` makes the document."""

    def document() -> Served:
        return _served(orjson.dumps(build()), "application/json")

    return [
        Route(DOCUMENT_PATH, _lazily(document)),
        Route(PAGE_PATH, _lazily(functools.partial(_file, *_PAGE))),
        *(
            Route(f"{PAGE_PATH}/{name}", _lazily(functools.partial(_file, name, media_type)))
            for name, media_type in _FILES.items()
        ),
    ]


def _lazily(make: Callable[[], Served]) -> Endpoint:
    """An endpoint that makes its answer once, whoever asks first."""
    made: asyncio.Task[Served] | None = None

    async def endpoint(request: Request) -> Response:
        nonlocal made
        if made is None or (made.done() and made.exception() is not None):
            made = asyncio.create_task(asyncio.to_thread(make))
        # Shielded: a client that hangs up must not take the work from those who wait with it.
        served = await asyncio.shield(made)
        return served.response(request)

    return endpoint


def _is_known(sent: str, tag: str) -> bool:
    """Whether If-None-Match names the tag; weak marks come from proxies that compress."""
    tags = [part.strip().removeprefix("W/") for part in sent.split(",")]
    return "*" in tags or tag in tags


def _file(name: str, media_type: str) -> Served:
    source = resources.files("gateway.openapi").joinpath("static", name)
    return _served(source.read_bytes(), media_type)


def _served(body: bytes, media_type: str) -> Served:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Served(gzip.compress(body, mtime=0), etag, media_type)
