"""The hot path: authenticate, route, JSON to message, call, message to JSON.

One endpoint for each REST binding, built from the contracts at the start. Raises refusals;
`gateway.http.edge` answers them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from chassis.errors import InvalidFields, Violation
from gateway.admission.entrance import Entrance
from gateway.admission.principals import ANONYMOUS, NO_SCOPE, Principal, Scope, Scopes
from gateway.contracts import Binding, Contracts
from gateway.grpc_client import Metadata
from gateway.http import answers, conditions
from gateway.http.answers import Answer, Headers
from gateway.http.bounds import Bounds
from gateway.http.exchange import KEY, Exchange
from gateway.http.hangups import HangUp
from gateway.http.served import PATH_PARAMETERS
from gateway.transcoding import bodies
from gateway.transcoding.binding import Bound, RequestBinder
from gateway.transcoding.conversion import ListWriter, ResourceWriter, is_listing
from gateway.transcoding.fields import CONVERSION_ERRORS
from gateway.transcoding.links import Links
from gateway.upstream.callers import caller_of
from gateway.upstream.services import Upstream

TIMEOUT_S = 10.0
SLOW_TIMEOUT_S = 30.0
"""For calls that reserve, plan or ask a model."""
_SLOW = frozenset({"writer_ai", "image_gen"})
_EMPTY = "google.protobuf.Empty"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every endpoint uses."""

    entrance: Entrance
    scopes: Scopes
    upstream: Upstream
    links: Links
    bounds: Bounds


class Endpoint:
    """Answers one REST binding."""

    is_open_to_all_origins = False

    def __init__(
        self,
        contracts: Contracts,
        binding: Binding,
        path_names: tuple[str, ...],
        around: Surroundings,
    ) -> None:
        self.binding = binding
        self.method = binding.method
        self.binder = RequestBinder(contracts, binding, path_names)
        self._around = around
        self._throttle = around.entrance.scope_of(self.method, binding.verb)
        self._call = around.upstream.method(self.method)
        self._timeout_s = SLOW_TIMEOUT_S if self.method.throttle in _SLOW else TIMEOUT_S
        response = self.method.response
        self._list = ListWriter(response) if is_listing(response) else None
        self._resource = ResourceWriter(response)
        self._is_empty = response.type_name == _EMPTY
        self._skip_max = next(
            (contracts.maximum(f) or 0 for f in self.method.request.fields if f.name == "skip"), 0
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request. Raises Refusal, or ClientGone when nobody waits for an answer."""
        exchange: Exchange = scope[KEY]
        exchange.route = self.binding.template
        principal = await self._around.entrance.admit(exchange, self._throttle, self.method)
        body = b""
        if self.binder.takes_body:
            body = await bodies.read_body(scope, receive, self._around.bounds)
            principal = await self._around.entrance.confirm(principal, exchange, self.method)
        bound = self.binder.bind(
            scope[PATH_PARAMETERS], scope["query_string"], exchange.headers, body
        )
        chosen = await self._scope(principal, bound)
        metadata = self._around.upstream.metadata(
            caller_of(principal, chosen), exchange, self.method.peer
        )
        wire = await self._ask(self.binder.serialized(bound, body), metadata, receive)
        if bound.idempotency_key:
            # Only now: what was refused has not used the key.
            exchange.reply_headers.append((b"idempotency-key", bound.idempotency_key.encode()))
        answer = self._answer(wire, bound, scope, exchange)
        await answers.send_answer(send, answer, is_head=scope["method"] == "HEAD")

    async def _scope(self, principal: Principal, bound: Bound) -> Scope:
        if self.method.needs_sector and not (bound.site_id and bound.sector_id):
            missing = [
                Violation(name, "is required: in the query, the body or a header")
                for name, chosen in (("site_id", bound.site_id), ("sector_id", bound.sector_id))
                if not chosen
            ]
            raise InvalidFields(*missing)
        if principal is ANONYMOUS or not (bound.site_id or bound.sector_id):
            return NO_SCOPE
        return await self._around.scopes.resolve(
            principal, bound.site_id, bound.sector_id, needs_sector=self.method.needs_sector
        )

    async def _ask(self, request: bytes, metadata: Metadata, receive: Any) -> bytes:
        # A write that has begun goes on, whoever still listens.
        watch = HangUp(receive) if self.binding.verb == "GET" else contextlib.nullcontext()
        try:
            with watch:
                return await self._call(request, metadata, self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self.binder.translated(
                self._around.upstream.refusal(error, self.method)
            ) from error

    def _answer(
        self, wire: bytes, bound: Bound, scope: Mapping[str, Any], exchange: Exchange
    ) -> Answer:
        if self._is_empty:
            return Answer(204)
        try:
            if self._list is None:
                return self._one(*self._resource.write(wire), exchange)
            rows = self._list.write(wire)
        except CONVERSION_ERRORS as error:
            raise RuntimeError(f"{self.method.path} answered what cannot be read") from error
        following, previous = self._around.links.around(
            scope, exchange.headers, bound.query, rows, skip_max=self._skip_max
        )
        body = answers.listing(
            rows.json,
            count=rows.total,
            following=following,
            previous=previous,
            request_id=exchange.request_id,
        )
        return Answer(self.method.http_status, body)

    def _one(self, document: str, revision: str, exchange: Exchange) -> Answer:
        """One resource; nothing of it when the client has it already."""
        headers: Headers = []
        if revision:
            tag = conditions.etag_of(revision, document)
            headers.append((b"etag", tag.encode()))
            if self.binding.verb == "GET":
                conditions.require_revision(exchange.headers, revision)
                if conditions.is_known(exchange.headers, tag):
                    return Answer(304, headers=headers)
        body = answers.resource(document, exchange.request_id)
        return Answer(self.method.http_status, body, headers)
