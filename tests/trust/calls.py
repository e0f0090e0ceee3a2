"""Calls over REST and straight to a service, with answers that can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from trust.contract import Method, message_class
from trust.filling import message
from trust.http import Http, Response

from chassis import caller, status
from chassis.caller import Caller, Signer

TIMEOUT_S = 20.0
CHANGING_HEADERS = {
    "date", "content-length", "x-request-id", "x-trace-id", "x-throttle-remaining",
    "x-throttle-reset",
}  # fmt: skip
_MOMENTS = re.compile(r'"?\d{4}-\d\d-\d\dT[0-9:.]+Z"?|(?:seconds|nanos): \d+')
NAME_CHARS_MIN = 8
FAILED = 400
_OK = "OK"


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    code: str
    """OK, or the reason of the refusal."""
    said: str
    """Everything else that could tell one from another, less what was named and the moment."""
    raw: str
    faults: tuple[str, ...] = ()
    """Fields that are at fault."""
    message: str = ""
    """The sentence of a refusal."""

    def __str__(self) -> str:
        return f"{self.code} {self.said}"


def masked(text: str, *known: str) -> str:
    """A text without what was named in the call, and without moments."""
    for each in known:
        # A revision may be a single digit, which would take away half of the answer.
        text = text.replace(each, "…") if len(each) >= NAME_CHARS_MIN else text
    return _MOMENTS.sub("…", text)


class Rest:
    """The gateway, as a client meets it."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def call(
        self,
        method: Method,
        filled: Mapping[str, Any],
        authorization: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        known: tuple[str, ...] = (),
    ) -> Answer:
        """The answer to a route with these fields in their places."""
        rest = dict(filled)
        path = method.template.format(**{name: rest.pop(name) for name in method.path_names})
        body: Any = None
        if method.body == "*":
            body, rest = rest, {}
        elif method.body:
            body = rest.pop(method.body, {})
        sent = {"Authorization": authorization} if authorization else {}
        if "request_id" in rest:
            sent["Idempotency-Key"] = rest.pop("request_id")
        if "etag" in rest:
            sent["If-Match"] = rest.pop("etag")
        answer = await self._http.request(
            method.verb,
            path,
            params={**rest, **(query or {})},
            body=body,
            headers={**sent, **(headers or {})},
        )
        return _read(answer, known)


def _read(answer: Response, known: tuple[str, ...]) -> Answer:
    if answer.is_stream:
        return Answer(_OK, str(answer.status), "")
    text, request_id = answer.text, answer.headers["x-request-id"]
    kept = {k: v for k, v in answer.headers.items() if k not in CHANGING_HEADERS}
    said = masked(f"{answer.status} {kept} {text}", *known, request_id)
    if answer.status < FAILED:
        return Answer(_OK, said, text)
    document = json.loads(text)
    faults = tuple(document.get("errors") or {})
    return Answer(document["code"], said, text, faults, document["error"])


class Wire:
    """The services themselves, as whoever reaches their ports meets them."""

    def __init__(self, addresses: Mapping[str, str], signers: Mapping[str, Signer]) -> None:
        self._signers = signers
        self._channels = {
            name: grpc.aio.insecure_channel(address) for name, address in addresses.items()
        }

    async def call(
        self, method: Method, filled: Mapping[str, Any], who: Caller, *, known: tuple[str, ...] = ()
    ) -> Answer:
        """The answer to a call that is signed as the caller's process signs."""
        metadata = ((caller.TOKEN_KEY, self.token(who, method.peer)),)
        return await self.call_with(method, filled, metadata, known=known)

    def token(self, who: Caller, peer: str) -> str:
        """What the caller's process signs for a call of this service."""
        return self._signers[who.issuer].mint(who, peer)

    async def call_with(
        self,
        method: Method,
        filled: Mapping[str, Any],
        metadata: tuple[tuple[str, str], ...],
        *,
        known: tuple[str, ...] = (),
    ) -> Answer:
        """The answer to a call with exactly this metadata."""
        channel = self._channels[method.peer]
        make = channel.unary_stream if method.is_stream else channel.unary_unary
        serialized = message(method, filled).SerializeToString()
        call = make(method.path)(serialized, metadata=metadata, timeout=TIMEOUT_S)
        try:
            wire = await (call.read() if method.is_stream else call)
        except grpc.aio.AioRpcError as error:
            refusal = status.from_error(error)
            faults = tuple(each.field for each in refusal.violations)
            raw = f"{error.code()} {refusal.message} {refusal.metadata} {refusal.violations}"
            return Answer(refusal.reason, masked(raw, *known), raw, faults, refusal.message)
        text = str(message_class(method.response).FromString(wire))
        return Answer(_OK, masked(text, *known), text)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
