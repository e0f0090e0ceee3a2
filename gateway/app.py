"""The ASGI application of the gateway, built from the contracts."""

from __future__ import annotations

import re
from typing import Any

from starlette.routing import Route

from chassis.caller import Signer
from gateway import answers
from gateway.authentication import Authenticator, Scopes
from gateway.contracts import Contracts
from gateway.edge import Edge
from gateway.exchange import KEY, Exchange
from gateway.files import TEMPLATE as FILE_TEMPLATE
from gateway.files import ImageFiles
from gateway.links import Links
from gateway.openapi import page
from gateway.pages import pages
from gateway.routes import Routes
from gateway.transcoding import Endpoint, Surroundings
from gateway.upstream import Upstream

_NAMES = re.compile(r"\{([a-z0-9_]+)\}")


class Gateway:
    """Hands a request to its endpoint, a file, or the pages beside them."""

    def __init__(
        self,
        contracts: Contracts,
        routes: Routes[Endpoint | ImageFiles],
        upstream: Upstream,
        public_url: str,
    ) -> None:
        self.routes = routes
        self._contracts = contracts
        self._public_url = public_url
        self._beside = pages(upstream, page.routes(self.document))

    def document(self) -> dict[str, Any]:
        """The OpenAPI document about what is served."""
        # Imported with the first reader of the reference: no other request needs it.
        from gateway.openapi import document

        beside = {("GET", route.path) for route in self._beside.routes if isinstance(route, Route)}
        routes = {*self.routes.declared, *beside}
        return document.build(self._contracts, routes, public_url=self._public_url)

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
        answer = await endpoint.answer(scope, receive, parameters, exchange)
        await answers.send_answer(send, answer)


def build_app(
    contracts: Contracts,
    upstream: Upstream,
    authenticator: Authenticator,
    scopes: Scopes,
    *,
    public_url: str = "",
) -> Edge:
    """The application with all that is around a request. Arguments as of `build_gateway`."""
    return Edge(build_gateway(contracts, upstream, authenticator, scopes, public_url=public_url))


def build_gateway(
    contracts: Contracts,
    upstream: Upstream,
    authenticator: Authenticator,
    scopes: Scopes,
    *,
    public_url: str = "",
) -> Gateway:
    """What is served. Services whose address `upstream` does not know are left out.

    Raises ContractError or ValueError when the contracts cannot be served as written.
    """
    around = Surroundings(authenticator, scopes, upstream, Links(public_url.rstrip("/")))
    routes: Routes[Endpoint | ImageFiles] = Routes()
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
    return Gateway(contracts, routes, upstream, public_url.rstrip("/"))


def build_upstream(contracts: Contracts, addresses: dict[str, str], signer: Signer) -> Upstream:
    """Channels to the services, by name."""
    return Upstream(addresses, signer, contracts.bindings)
