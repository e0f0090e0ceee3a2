"""The ASGI application of the gateway, built from the contracts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from chassis.caller import Signer
from gateway.admission import cors
from gateway.admission.cors import Cors, ListedOrigins, Origins
from gateway.admission.counters import MemoryCounter
from gateway.admission.entrance import Entrance
from gateway.admission.principals import Acting, Authenticator, Scopes
from gateway.admission.throttles import OFF, Throttles
from gateway.beside.files import TEMPLATE as FILE_TEMPLATE
from gateway.beside.files import ImageFiles
from gateway.beside.pages import NO_KEYS, pages
from gateway.contracts import Contracts
from gateway.http import answers, errors
from gateway.http.bounds import BOUNDS, Bounds
from gateway.http.edge import Edge
from gateway.http.exchange import KEY, Exchange
from gateway.http.metrics import Metrics
from gateway.http.routes import Route, Routes
from gateway.http.security import SecurityHeaders
from gateway.streams.endpoints import EventStreams, RunWatch
from gateway.streams.hub import Hub
from gateway.streams.session import Pace
from gateway.transcoding.endpoint import Endpoint, Surroundings
from gateway.transcoding.links import Links
from gateway.upstream.services import Upstream

_NAMES = re.compile(r"\{([a-z0-9_]+)\}")
Served = Endpoint | ImageFiles | EventStreams
"""What a route leads to."""
DEFAULT_PACE = Pace()


class Gateway:
    """Hands a request to its endpoint, a file, or the pages beside them."""

    def __init__(self, routes: Routes[Served], beside: Any, greeter: Cors) -> None:
        self.routes = routes
        self._beside = beside
        self._cors = greeter

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one HTTP request. Raises Refusal."""
        exchange: Exchange = scope[KEY]
        asked = await self._cors.greet(scope, exchange)
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.split(b"?", 1)[0].decode("latin-1")
        found = self.routes.find(asked or scope["method"], path)
        if asked is not None:
            if found is None:
                raise errors.not_found()
            is_public = isinstance(found[0], ImageFiles)
            answer = cors.preflight(exchange, asked, is_public=is_public)
            await answers.send_answer(send, answer)
            return
        if found is None:
            path = scope["path"]
            trimmed = path if path == "/" else path.removesuffix("/")
            await self._beside({**scope, "path": trimmed}, receive, send)
            return
        served, parameters = found
        await served.serve(scope, receive, send, parameters, exchange)


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
    public_url = public_url.rstrip("/")
    greeter = Cors(origins or ListedOrigins(), public_url)
    metrics = metrics or Metrics()
    throttles = throttles or Throttles(MemoryCounter(), OFF)
    entrance = Entrance(authenticator, greeter, throttles, metrics, acting)
    around = Surroundings(entrance, scopes, upstream, Links(public_url), bounds)
    routes = _routes(contracts, around, hub, pace)

    def describe(beside: Iterable[Route]) -> dict[str, Any]:
        # Imported with the first reader of the reference: no other request needs it.
        from gateway.openapi import document

        return document.build(
            contracts, {*routes.declared, *beside}, public_url=public_url, bounds=bounds
        )

    gateway = Gateway(routes, pages(upstream, describe, jwks), greeter)
    return Edge(gateway, SecurityHeaders(public_url), metrics, bounds)


def _routes(
    contracts: Contracts, around: Surroundings, hub: Hub | None, pace: Pace
) -> Routes[Served]:
    routes: Routes[Served] = Routes()
    for binding in contracts.bindings:
        method = binding.method
        if method.kind != "unary" or not around.upstream.has(method.peer):
            continue
        names = tuple(_NAMES.findall(binding.template))
        routes.add(binding.verb, binding.template, Endpoint(contracts, binding, names, around))
    if around.upstream.has("images"):
        files = ImageFiles(contracts, around.upstream)
        for verb in ("GET", "HEAD"):
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
