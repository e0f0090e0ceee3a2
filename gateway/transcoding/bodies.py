"""Reading a JSON body within bounds: bytes, time, depth, items."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from chassis.errors import Refusal
from gateway.http import errors
from gateway.http.bounds import Bounds
from gateway.http.exchange import CUT_OFF, KEY
from gateway.http.hangups import ClientGone

DEPTH_MAX = 32
"""Objects and lists inside each other; also far below what any parser here allows."""
_OPENERS = (b"{", b"[")
_TOO_DEEP = "limit"
"""What orjson says of depth, in the words of any version, and of nothing else."""


async def read_body(scope: Mapping[str, Any], receive: Any, bounds: Bounds) -> bytes:
    """The whole body; empty when there is none.

    Raises PAYLOAD_TOO_LARGE, TOO_MANY_ITEMS, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE, ClientGone,
    or why the server has stopped reading it.
    """
    headers = scope[KEY].headers
    declared = headers.get(b"content-length", b"0").strip()
    if not declared.isdigit() or int(declared) > bounds.body_bytes:
        raise errors.payload_too_large(bounds.body_bytes)
    try:
        async with asyncio.timeout(bounds.body_timeout_s):
            body = await _collect(scope, receive, bounds.body_bytes)
    except TimeoutError as error:
        raise errors.request_timeout() from error
    if body:
        _check_type(headers)
        check_depth(body)
        check_items(body, bounds.items)
    return body


async def _collect(scope: Mapping[str, Any], receive: Any, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    total = 0
    while True:
        message = await receive()
        if CUT_OFF in scope:
            raise scope[CUT_OFF]
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        total += len(chunk)
        if total > limit_bytes:
            raise errors.payload_too_large(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunk


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise errors.unsupported_media_type("Send the body without a content encoding.")
    media, _, parameters = headers.get(b"content-type", b"").partition(b";")
    if media.strip().lower() != b"application/json":
        raise errors.unsupported_media_type("Send the body as application/json.")
    charset = parameters.strip().lower().replace(b'"', b"")
    if charset.startswith(b"charset=") and charset not in {b"charset=utf-8", b"charset=utf8"}:
        raise errors.unsupported_media_type("Send the body as UTF-8.")


def check_depth(body: bytes) -> None:
    """Refuses JSON that nests too deeply, before any converter recurses into it."""
    if sum(body.count(opener) for opener in _OPENERS) <= DEPTH_MAX:
        return
    level = _containers([loads(body)])
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in _containers(outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _too_deep()


def check_items(body: bytes, limit: int) -> None:
    """Refuses a list with more items than any may have, before messages are made of them."""
    if body.count(b",") < limit:
        return
    path = _too_long(loads(body), limit, "")
    if path is not None:
        raise errors.too_many_items(path, limit)


def _too_long(value: Any, limit: int, path: str) -> str | None:
    """Path of the first list that is too long; the depth has been checked."""
    if isinstance(value, list):
        if len(value) > limit:
            return path
        inner = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    else:
        return None
    found = (_too_long(item, limit, where) for where, item in inner)
    return next((where for where in found if where is not None), None)


def loads(body: bytes) -> Any:
    """Parses JSON. Raises a refusal that says where it is broken."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if _TOO_DEEP in str(error):
            # The parser has a bound of its own, far beyond ours.
            raise _too_deep() from error
        raise broken(error) from error


def broken(error: ValueError) -> Exception:
    """The refusal for a JSON syntax error, with its position."""
    line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
    place = f" at line {line}, column {column}" if line is not None else ""
    return errors.malformed(f"The body is not valid JSON{place}.")


def _too_deep() -> Refusal:
    return errors.malformed(f"The body nests deeper than {DEPTH_MAX} levels.")


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]
