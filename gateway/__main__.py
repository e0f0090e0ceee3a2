"""Wiring of the gateway's process: identity as a gRPC service and the HTTP server, in one loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from dataclasses import replace

import uvloop

from chassis import migrate, telemetry
from chassis.caller import Verifier
from chassis.keys import load_trusted_keys
from chassis.process import Host, hosting, stop_signal, working
from chassis.server import Server
from chassis.settings import Settings, SettingsError
from gateway.app import build_app, build_upstream
from gateway.authentication import CachedAuthenticator, CachedScopes
from gateway.contracts import load_contracts
from gateway.identity.wiring import wire_identity
from gateway.server import HttpServer, http_server, listening_socket
from gateway.streams.facts import Catalogue
from gateway.streams.hub import Bounds, Hub
from gateway.streams.session import Pace

log = logging.getLogger("gateway")

NAME = "gateway"
IDENTITY = "identity"
PEERS = ("tasks", "content", "images", "billing")
IDENTITY_LISTEN_DEFAULT = "127.0.0.1:0"
STREAM_PACE_MIN_S = 0.1
_EVERYWHERE = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  compared with, not bound to


def main() -> None:
    """Runs the gateway until it is told to stop; exits with one sentence when it cannot start."""
    try:
        settings = Settings.from_env(NAME)
        telemetry.set_up_logging(NAME, settings.log_level)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        if settings.migrate:
            migrate.upgrade(settings.database_url, "gateway.identity")
        listening = _listening(settings)
        uvloop.run(serve(settings, listening))
    except (SettingsError, OSError) as error:
        sys.exit(f"{NAME}: {error}")


async def serve(settings: Settings, listening: socket.socket) -> None:
    """Runs identity and the HTTP server in this event loop until SIGTERM or SIGINT."""
    async with hosting(settings) as host:
        await _run(host, listening)


async def _run(host: Host, listening: socket.socket) -> None:
    settings = host.settings
    forgetful: list[CachedAuthenticator | CachedScopes | Hub] = []

    def forget(account_id: str) -> None:
        for memory in forgetful:
            memory.forget(account_id)

    identity = wire_identity(host, forget)
    authenticator = CachedAuthenticator(identity.authenticator)
    scopes = CachedScopes(identity.scopes)
    contracts = load_contracts()
    hub = Hub(host.bus, Catalogue(contracts), _bounds(settings))
    # The streams last: they ask again at once.
    forgetful += [authenticator, scopes, hub]
    identity_listen = settings.extra("WRITER_IDENTITY_LISTEN", IDENTITY_LISTEN_DEFAULT)
    server = Server(
        identity_listen,
        identity.parts.servicers,
        Verifier(load_trusted_keys(settings.trusted_keys), audience=IDENTITY),
        reuse_port=settings.reuse_port,
        engine=settings.grpc_engine,
    )
    upstream = build_upstream(
        contracts, _addresses(settings, identity_listen, server.port), host.signer
    )
    app = build_app(
        contracts,
        upstream,
        authenticator,
        scopes,
        public_url=settings.extra("WRITER_PUBLIC_URL"),
        hub=hub,
        pace=_pace(settings),
    )
    parts = replace(identity.parts, loops=[*identity.parts.loops, hub.run])
    try:
        async with working(host, parts, server, service=IDENTITY):
            await _serve_http(http_server(app), listening, hub)
    finally:
        await upstream.close()


async def _serve_http(server: HttpServer, listening: socket.socket, hub: Hub) -> None:
    """Serves until a signal; then streams and running requests end before identity does."""
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop_signal())
    log.info("ready", extra={"address": "{}:{}".format(*listening.getsockname()[:2])})
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    hub.close()
    server.should_exit = True
    stopping.cancel()
    await serving


def _bounds(settings: Settings) -> Bounds:
    usual = Bounds()
    return Bounds(
        streams_max=settings.whole_number("WRITER_STREAMS_MAX", usual.streams_max, minimum=0),
        account_streams_max=settings.whole_number(
            "WRITER_STREAMS_OF_ACCOUNT_MAX", usual.account_streams_max, minimum=1
        ),
    )


def _pace(settings: Settings) -> Pace:
    usual = Pace()
    return Pace(
        heartbeat_s=settings.number(
            "WRITER_STREAM_HEARTBEAT_S", usual.heartbeat_s, minimum=STREAM_PACE_MIN_S
        ),
        recheck_s=settings.number(
            "WRITER_STREAM_RECHECK_S", usual.recheck_s, minimum=STREAM_PACE_MIN_S
        ),
    )


def _listening(settings: Settings) -> socket.socket:
    try:
        return listening_socket(settings.listen, settings.extra("WRITER_LISTEN_FD"))
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"WRITER_LISTEN is not host:port: {settings.listen!r}") from error


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
