"""Wiring of the gateway's process: identity as a gRPC service and the HTTP server, in one loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import uvloop

from chassis import telemetry
from chassis.errors import Unavailable
from chassis.process import Host, hosting, stop_signal, working
from chassis.settings import Settings, SettingsError
from chassis.starting import bring_up_to_date, grpc_server
from gateway import configuration
from gateway.admission.cors import CachedOrigins
from gateway.admission.principals import CachedAuthenticator, CachedScopes
from gateway.app import build_app, build_upstream
from gateway.contracts import load_contracts
from gateway.http.bounds import Bounds
from gateway.http.edge import Edge
from gateway.http.metrics import Metrics, MetricsPage
from gateway.http.security import SecurityHeaders
from gateway.http.server import HttpServer, http_server
from gateway.identity.wiring import wire_identity
from gateway.streams.facts import Catalogue
from gateway.streams.hub import Hub

log = logging.getLogger("gateway")

NAME = "gateway"
IDENTITY = "identity"
PEERS = ("tasks", "content", "images", "billing")
IDENTITY_LISTEN_DEFAULT = "127.0.0.1:0"
_EVERYWHERE = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  compared with, not bound to


def main() -> None:
    """Runs the gateway until it is told to stop; exits with one sentence when it cannot start."""
    try:
        settings = Settings.from_env(NAME)
        telemetry.set_up_logging(NAME, settings.log_level)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        if settings.migrate:
            bring_up_to_date(settings.database_url, "gateway.identity")
        with ExitStack() as bound:
            listening = bound.enter_context(configuration.listening(settings))
            metrics_listening = configuration.metrics_listening(settings)
            if metrics_listening is not None:
                bound.enter_context(metrics_listening)
            uvloop.run(serve(settings, listening, metrics_listening))
    except (SettingsError, Unavailable) as error:
        sys.exit(f"{NAME}: {error}")


class Memories:
    """What is remembered of accounts, by whom, to be forgotten when identity says so."""

    of: Sequence[CachedAuthenticator | CachedScopes | CachedOrigins | Hub] = ()

    def forget(self, account_id: str) -> None:
        """Something about the account has changed."""
        for memory in self.of:
            memory.forget(account_id)


async def serve(
    settings: Settings, listening: socket.socket, metrics_listening: socket.socket | None = None
) -> None:
    """Runs identity and the HTTP server in this event loop until SIGTERM or SIGINT."""
    async with hosting(settings) as host:
        await _run(host, listening, metrics_listening)


async def _run(
    host: Host, listening: socket.socket, metrics_listening: socket.socket | None
) -> None:
    settings = host.settings
    memories = Memories()
    identity = wire_identity(host, memories.forget)
    authenticator = CachedAuthenticator(identity.authenticator)
    scopes = CachedScopes(identity.scopes)
    origins = CachedOrigins(identity.origins)
    contracts = load_contracts()
    hub = Hub(host.bus, Catalogue(contracts), configuration.stream_bounds(settings))
    # The streams last: they ask again at once.
    memories.of = (authenticator, scopes, origins, hub)
    identity_listen = settings.extra("WRITER_IDENTITY_LISTEN", IDENTITY_LISTEN_DEFAULT)
    server = grpc_server(
        settings,
        identity.parts.servicers,
        audience=IDENTITY,
        variable="WRITER_IDENTITY_LISTEN",
        address=identity_listen,
    )
    metrics, bounds = Metrics(), Bounds.from_settings(settings)
    upstream = build_upstream(
        contracts, _addresses(settings, identity_listen, server.port), host.signer, metrics
    )
    app = build_app(
        contracts,
        upstream,
        authenticator,
        scopes,
        public_url=configuration.public_url(settings),
        acting=identity.acting,
        jwks=identity.signing_keys.jwks,
        hub=hub,
        pace=configuration.stream_pace(settings),
        bounds=bounds,
        origins=configuration.origins(settings, origins),
        throttles=configuration.throttles(settings),
        metrics=metrics,
    )
    parts = replace(identity.parts, loops=[*identity.parts.loops, hub.run])
    servers = [(_http(settings, app, bounds, metrics), listening)]
    if metrics_listening is not None:
        servers.append((http_server(MetricsPage(metrics)), metrics_listening))
    try:
        async with working(host, parts, server, service=IDENTITY):
            await _serve_http(servers, hub)
    finally:
        await upstream.close()


def _http(settings: Settings, app: Edge, bounds: Bounds, metrics: Metrics) -> HttpServer:
    return http_server(
        app,
        bounds,
        security=SecurityHeaders(configuration.public_url(settings)),
        metrics=metrics,
        trusted_proxies=configuration.trusted_proxies(settings),
    )


async def _serve_http(servers: list[tuple[HttpServer, socket.socket]], hub: Hub) -> None:
    """Serves until a signal; then streams and running requests end before identity does."""
    serving = [
        asyncio.create_task(server.serve(sockets=[listening])) for server, listening in servers
    ]
    stopping = asyncio.create_task(stop_signal())
    for _, listening in servers:
        log.info("ready", extra={"address": "{}:{}".format(*listening.getsockname()[:2])})
    await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    hub.close()
    for server, _ in servers:
        server.should_exit = True
    stopping.cancel()
    await asyncio.gather(*serving)


def _addresses(settings: Settings, identity_listen: str, identity_port: int) -> dict[str, str]:
    missing = [peer for peer in PEERS if peer not in settings.peers]
    if missing:
        raise SettingsError(f"WRITER_PEER_{missing[0].upper()} is not set")
    host = identity_listen.rpartition(":")[0]
    if host in _EVERYWHERE:
        host = "127.0.0.1"
    return {**{peer: settings.peers[peer] for peer in PEERS}, IDENTITY: f"{host}:{identity_port}"}


if __name__ == "__main__":
    main()
