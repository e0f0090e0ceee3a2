"""The ASGI application of the gateway, built from the contracts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chassis.caller import Signer
from chassis.errors import Refusal
from gateway.admission import cors
from gateway.admission.cors import Cors, ListedOrigins, Origins
from gateway.admission.counters import MemoryCounter
from gateway.admission.entrance import Entrance
from gateway.admission.principals import Acting, Authenticator, Scopes
from gateway.admission.throttles import OFF, Throttles
from gateway.beside.files import TEMPLATE as FILE_TEMPLATE
from gateway.beside.files import ImageFiles
from gateway.beside.health import health
from gateway.beside.keys import NO_KEYS, public_keys
from gateway.contracts import Contracts
from gateway.http import answers, errors
from gateway.http.answers import Answer
from gateway.http.bounds import BOUNDS, Bounds
from gateway.http.edge import Edge
from gateway.http.exchange import KEY, Exchange
from gateway.http.metrics import Metrics
from gateway.http.routes import ANY_PATH, Routes, allow
from gateway.http.security import SecurityHeaders
from gateway.http.served import GET_AND_HEAD, PATH_PARAMETERS, Served, add_pages
from gateway.openapi import serving
from gateway.streams.endpoints import EventStreams, RunWatch
from gateway.streams.hub import Hub
from gateway.streams.session import Pace
from gateway.transcoding.endpoint import Endpoint, Surroundings
from gateway.transcoding.links import Links
from gateway.upstream.services import Upstream

_NAMES = re.compile(r"\{([a-z0-9_]+)\}")
DEFAULT_PACE = Pace()


class Gateway:
    """Hands a request to what serves its route."""

    def __init__(self, routes: Routes[Served], greeter: Cors) -> None:
        self.routes = routes
        self._cors = greeter

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one HTTP request. Raises Refusal."""
        exchange: Exchange = scope[KEY]
        asked = await self._cors.greet(scope, exchange)
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.split(b"?", 1)[0].decode("latin-1")
        if scope["method"] == "OPTIONS":
            await answers.send_answer(send, self._options(path, asked, exchange))
            return
        served, scope[PATH_PARAMETERS] = self._find(scope["method"], path, exchange)
        await served(scope, receive, send)

    def _options(self, path: str, asked: str | None, exchange: Exchange) -> Answer:
        """What a path answers to, or whether a page may send it the verb that it `asked` for."""
        exchange.route = self.routes.template(path)
        if asked is not None and path != ANY_PATH:
            self._find(asked, path, exchange)
            return cors.preflight(exchange, asked)
        verbs = self.routes.verbs(path)
        if not verbs:
            raise errors.not_found()
        return Answer(204, headers=[(b"allow", allow(verbs).encode())])

    def _find(self, verb: str, path: str, exchange: Exchange) -> tuple[Served, dict[str, str]]:
        """What serves a verb of a path. Raises NOT_FOUND or METHOD_NOT_ALLOWED."""
        try:
            found = self.routes.find(verb, path)
        except Refusal:
            exchange.route = self.routes.template(path)
            raise
        if found is None:
            raise errors.not_found()
        if found[0].is_open_to_all_origins:
            cors.open_to_all(exchange)
        return found


def build_app(
    contracts: Contracts,
    upstream: Upstream,
    authenticator: Authenticator,
    scopes: Scopes,
    *,
    public_url: str = "",
    acting: Acting | None = None,
    jwks: Callable[[], bytes] = lambda: NO_KEYS,
    bounds: Bounds = BOUNDS,
    origins: Origins | None = None,
    throttles: Throttles | None = None,
    metrics: Metrics | None = None,
    hub: Hub | None = None,
    pace: Pace = DEFAULT_PACE,
) -> Edge:
    """The application. Services whose address `upstream` does not know are left out, and so are
    the event streams without a hub.

    Without `origins` no page of another origin may call, without `throttles` nothing is
    counted. Raises ContractError or ValueError when the contracts cannot be served as written.
    """
    greeter = Cors(origins or ListedOrigins(), public_url)
    metrics = metrics or Metrics()
    throttles = throttles or Throttles(MemoryCounter(), OFF)
    entrance = Entrance(authenticator, greeter, throttles, metrics, acting)
    around = Surroundings(entrance, scopes, upstream, Links(public_url), bounds)
    routes = _routes(contracts, around, hub, pace)

    def describe() -> dict[str, Any]:
        # Imported with the first reader of the reference: no other request needs it.
        from gateway.openapi import document

        return document.build(
            contracts,
            {*routes.declared},
            public_url=public_url,
            bounds=bounds,
            event_types=hub.catalogue.types if hub else (),
        )

    add_pages(routes, {**health(upstream), **serving.page()})
    add_pages(
        routes, {**public_keys(jwks), **serving.document(describe)}, is_open_to_all_origins=True
    )
    return Edge(Gateway(routes, greeter), SecurityHeaders(public_url), metrics, bounds)


def _routes(
    contracts: Contracts, around: Surroundings, hub: Hub | None, pace: Pace
) -> Routes[Served]:
    routes: Routes[Served] = Routes()
    for binding in contracts.bindings:
        method = binding.method
        if method.kind != "unary" or not around.upstream.has(method.peer):
            continue
        names = tuple(_NAMES.findall(binding.template))
        endpoint = Endpoint(contracts, binding, names, around)
        for verb in GET_AND_HEAD if binding.verb == "GET" else (binding.verb,):
            routes.add(verb, binding.template, endpoint)
    if around.upstream.has("images"):
        files = ImageFiles(contracts, around.upstream)
        for verb in GET_AND_HEAD:
            routes.add(verb, FILE_TEMPLATE, files)
    if hub is not None:
        events = EventStreams(around, hub, pace)
        routes.add("GET", events.template, events)
        if around.upstream.has("tasks"):
            watch = RunWatch(around, hub, pace, contracts)
            routes.add("GET", watch.template, watch)
    return routes


def build_upstream(
    contracts: Contracts,
    addresses: dict[str, str],
    signer: Signer,
    metrics: Metrics | None = None,
) -> Upstream:
    """Channels to the services, by name."""
    return Upstream(addresses, signer, contracts.bindings, metrics or Metrics())
