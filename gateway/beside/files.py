"""The files of images: public by id, streamed, cacheable for ever because they never change.

Found by id through the service, which alone knows where a file lies: no path comes from outside.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import grpc

from gateway.admission.principals import ANONYMOUS, NO_SCOPE
from gateway.contracts import Contracts
from gateway.grpc_client import StreamingCall
from gateway.http import answers, errors
from gateway.http.answers import Answer, Headers
from gateway.http.conditions import is_known, require_revision
from gateway.http.exchange import KEY, Exchange
from gateway.http.hangups import ClientGone, HangUp
from gateway.http.ranges import Span, span_of
from gateway.http.served import PATH_PARAMETERS
from gateway.upstream.callers import caller_of
from gateway.upstream.services import Upstream

TEMPLATE = "/api/v1/writer/images/{id}/file"
STREAM_TIMEOUT_S = 120.0
"""For a whole file, at the pace of a slow client."""
_RPC = "/writer.images.v1.ImageService/GetImageFile"
_MEDIA_TYPES = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
}
"""Served as they are, with their usual suffix; anything else is bytes that no browser runs."""
_BYTES = "application/octet-stream"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANYBODY = caller_of(ANONYMOUS, NO_SCOPE)


class ImageFiles:
    """Serves GET and HEAD of an image's file."""

    is_open_to_all_origins = True

    def __init__(self, contracts: Contracts, upstream: Upstream) -> None:
        self._method = next(method for method in contracts.methods if method.path == _RPC)
        self._request: Any = self._method.request.type
        self._chunk: Any = self._method.response.type
        self._call = upstream.method(self._method)
        self._upstream = upstream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Streams the file or a part of it, or says that the client has it. Raises Refusal."""
        exchange: Exchange = scope[KEY]
        exchange.route = TEMPLATE
        image_id = scope[PATH_PARAMETERS]["id"]
        request = self._request(id=image_id).to_binary()
        metadata = self._upstream.metadata(_ANYBODY, exchange, self._method.peer)
        try:
            with HangUp(receive):
                async with (
                    asyncio.timeout(STREAM_TIMEOUT_S),
                    self._call.stream(request, metadata, STREAM_TIMEOUT_S) as call,
                ):
                    await self._stream(scope["method"], send, image_id, exchange, call)
        except grpc.aio.AioRpcError as error:
            raise self._upstream.refusal(error, self._method) from error
        except TimeoutError as error:
            raise errors.too_slow() from error
        except OSError as error:
            raise ClientGone from error

    async def _stream(
        self, verb: str, send: Any, image_id: str, exchange: Exchange, call: StreamingCall
    ) -> None:
        wire = await call.read()
        if wire is None:
            raise RuntimeError("the stream of an image file ended before it began")
        first = self._chunk.from_binary(wire)
        tag = f'"{first.sha256}"'
        headers = _headers(first, tag, image_id)
        require_revision(exchange.headers, first.sha256, "file")
        if is_known(exchange.headers, tag):
            await answers.send_answer(send, Answer(304, headers=headers))
            return
        total = first.total_bytes
        span = span_of(exchange.headers, total, tag) if verb == "GET" else None
        status = 200
        if span is not None:
            status = 206
            headers.append((b"content-range", span.content_range(total)))
        span = span or Span(0, total - 1)
        headers.append((b"content-length", str(len(span)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if verb == "HEAD" or not len(span):
            await send({"type": "http.response.body", "body": b""})
            return
        await self._copy(send, call, first, span)

    async def _copy(self, send: Any, call: StreamingCall, first: Any, span: Span) -> None:
        """Sends the bytes of the span, and stops reading behind it."""
        at, data = 0, first.data
        while True:
            if at + len(data) > first.total_bytes:
                raise RuntimeError("an image file is longer than its header said")
            part = data[max(0, span.first - at) : span.last + 1 - at]
            at += len(data)
            more = at <= span.last
            if part:
                await send({"type": "http.response.body", "body": part, "more_body": more})
            if not more:
                return
            wire = await call.read()
            if wire is None:
                raise RuntimeError("an image file is shorter than its header said")
            data = self._chunk.from_binary(wire).data


def _headers(first: Any, tag: str, image_id: str) -> Headers:
    if _DIGEST.fullmatch(first.sha256) is None:
        raise RuntimeError("an image file has no digest")
    suffix = _MEDIA_TYPES.get(first.mime_type)
    media = _BYTES if suffix is None else first.mime_type
    # The id has passed the route, which lets nothing through that a quoted name would mind.
    shown = f'attachment; filename="{image_id}"'
    if suffix is not None:
        shown = f'inline; filename="{image_id}.{suffix}"'
    return [
        (b"content-type", media.encode()),
        (b"content-disposition", shown.encode()),
        (b"etag", tag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"public, max-age=31536000, immutable"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        # Also for pages that only show it, and do not ask whether they may read it.
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]
