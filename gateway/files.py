"""The files of images: public by id, streamed, cacheable for ever because they never change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import grpc

from chassis.caller import Caller
from gateway import answers
from gateway.answers import Answer, Headers
from gateway.bodies import ClientGone
from gateway.contracts import Contracts
from gateway.exchange import Exchange
from gateway.transcoding import GATEWAY
from gateway.upstream import Upstream, refusal_of

TEMPLATE = "/api/v1/writer/images/{id}/file"
STREAM_TIMEOUT_S = 120.0
"""For a whole file, at the pace of a slow client."""
_RPC = "/writer.images.v1.ImageService/GetImageFile"
_MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"})
"""Served as they are; anything else is bytes that no browser runs."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageFiles:
    """Serves GET and HEAD of an image's file."""

    def __init__(self, contracts: Contracts, upstream: Upstream) -> None:
        self._method = next(method for method in contracts.methods if method.path == _RPC)
        self._request: Any = self._method.request.type
        self._chunk: Any = self._method.response.type
        self._call = upstream.stream(self._method)
        self._upstream = upstream

    async def serve(
        self,
        scope: Mapping[str, Any],
        send: Any,
        path: Mapping[str, str],
        exchange: Exchange,
    ) -> None:
        """Streams the file, or says that the client has it. Raises Refusal."""
        exchange.route = TEMPLATE
        who = Caller(
            issuer=GATEWAY,
            principal="anonymous",
            account_id="",
            request_id=exchange.request_id,
            traceparent=exchange.traceparent,
        )
        call = self._call(
            self._request(id=path["id"]).to_binary(),
            metadata=self._upstream.metadata(who, self._method.peer),
            timeout=STREAM_TIMEOUT_S,
        )
        try:
            async with asyncio.timeout(STREAM_TIMEOUT_S):
                await self._stream(scope, send, exchange, call)
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error, self._method) from error
        except OSError as error:
            raise ClientGone from error
        finally:
            # Ends the stream wherever it stands: the client has the file, or hung up.
            call.cancel()

    async def _stream(
        self, scope: Mapping[str, Any], send: Any, exchange: Exchange, call: Any
    ) -> None:
        wire = await call.read()
        if wire is grpc.aio.EOF:
            raise RuntimeError("the stream of an image file ended before it began")
        first = self._chunk.from_binary(wire)
        tag = f'"{first.sha256}"'
        headers = _headers(first, tag)
        if _matches(exchange.headers.get(b"if-none-match"), tag):
            await answers.send_answer(send, Answer(304, headers=headers))
            return
        headers.append((b"content-length", str(first.total_bytes).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await self._copy(send, call, first)

    async def _copy(self, send: Any, call: Any, first: Any) -> None:
        left, data = first.total_bytes, first.data
        while True:
            left -= len(data)
            if left < 0:
                raise RuntimeError("an image file is longer than its header said")
            await send({"type": "http.response.body", "body": data, "more_body": left > 0})
            if left == 0:
                return
            wire = await call.read()
            if wire is grpc.aio.EOF:
                raise RuntimeError("an image file is shorter than its header said")
            data = self._chunk.from_binary(wire).data


def _headers(first: Any, tag: str) -> Headers:
    if _DIGEST.fullmatch(first.sha256) is None:
        raise RuntimeError("an image file has no digest")
    media = first.mime_type if first.mime_type in _MEDIA_TYPES else "application/octet-stream"
    return [
        (b"content-type", media.encode()),
        (b"etag", tag.encode()),
        (b"cache-control", b"public, max-age=31536000, immutable"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
    ]


def _matches(sent: bytes | None, tag: str) -> bool:
    if sent is None:
        return False
    tags = [part.strip().removeprefix("W/") for part in sent.decode("latin-1").split(",")]
    return "*" in tags or tag in tags
