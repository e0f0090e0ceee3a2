"""The ASGI application of the gateway, built from the contracts."""

from __future__ import annotations

import re
from typing import Any

from chassis.caller import Signer
from gateway import answers
from gateway.authentication import Authenticator, Scopes
from gateway.contracts import Contracts
from gateway.edge import Edge
from gateway.exchange import KEY, Exchange
from gateway.files import TEMPLATE as FILE_TEMPLATE
from gateway.files import ImageFiles
from gateway.links import Links
from gateway.pages import pages
from gateway.routes import Routes
from gateway.streams.endpoints import EventStreams, RunWatch
from gateway.streams.hub import Hub
from gateway.streams.session import Pace
from gateway.transcoding import Endpoint, Surroundings
from gateway.upstream import Upstream

_NAMES = re.compile(r"\{([a-z0-9_]+)\}")
Served = Endpoint | ImageFiles | EventStreams
"""What a route leads to."""
DEFAULT_PACE = Pace()


class Gateway:
    """Hands a request to its endpoint, a file, or the pages beside them."""

    def __init__(self, routes: Routes[Served], beside: Any) -> None:
        self.routes = routes
        self._beside = beside

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one HTTP request. Raises Refusal."""
        raw = scope.get("raw_path") or scope["path"].encode()
        found = self.routes.find(scope["method"], raw.split(b"?", 1)[0].decode("latin-1"))
        if found is None:
            path = scope["path"]
            trimmed = path if path == "/" else path.removesuffix("/")
            await self._beside({**scope, "path": trimmed}, receive, send)
            return
        endpoint, parameters = found
        exchange: Exchange = scope[KEY]
        if isinstance(endpoint, ImageFiles):
            await endpoint.serve(scope, send, parameters, exchange)
            return
        if isinstance(endpoint, EventStreams):
            await endpoint.serve(scope, receive, send, parameters, exchange)
            return
        answer = await endpoint.answer(scope, receive, parameters, exchange)
        await answers.send_answer(send, answer)


def build_app(
    contracts: Contracts,
    upstream: Upstream,
    authenticator: Authenticator,
    scopes: Scopes,
    *,
    public_url: str = "",
    hub: Hub | None = None,
    pace: Pace = DEFAULT_PACE,
) -> Edge:
    """The application. Services whose address `upstream` does not know are left out, and so are
    the event streams without a hub.

    Raises ContractError or ValueError when the contracts cannot be served as written.
    """
    around = Surroundings(authenticator, scopes, upstream, Links(public_url.rstrip("/")))
    routes: Routes[Served] = Routes()
    for binding in contracts.bindings:
        method = binding.method
        if method.kind != "unary" or not upstream.has(method.peer):
            continue
        names = tuple(_NAMES.findall(binding.template))
        routes.add(binding.verb, binding.template, Endpoint(contracts, binding, names, around))
    if upstream.has("images"):
        files = ImageFiles(contracts, upstream)
        for verb in ("GET", "HEAD"):
            routes.add(verb, FILE_TEMPLATE, files)
    if hub is not None:
        events = EventStreams(around, hub, pace)
        routes.add("GET", events.template, events)
        if upstream.has("tasks"):
            watch = RunWatch(around, hub, pace, contracts)
            routes.add("GET", watch.template, watch)
    return Edge(Gateway(routes, pages(upstream)))


def build_upstream(contracts: Contracts, addresses: dict[str, str], signer: Signer) -> Upstream:
    """Channels to the services, by name."""
    return Upstream(addresses, signer, contracts.bindings)
