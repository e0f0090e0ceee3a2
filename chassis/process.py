"""One process from its start to its end: settings, keys, database, NATS, server, consumers.

What is started first is stopped last. SIGTERM and SIGINT drain: no new work, running work
ends within bounds, what is left is handed back to be done by another process.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import uvloop

from chassis import clock, telemetry
from chassis.bus import Bus
from chassis.caller import Signer
from chassis.client import Peer
from chassis.consumers import Consumers, Subscription
from chassis.database import Database, open_database
from chassis.errors import Unavailable
from chassis.health import Health
from chassis.housekeeping import keep_tidy, keep_watch
from chassis.keys import load_signing_key
from chassis.outbox import Outbox, Relay
from chassis.server import Server, Servicer
from chassis.settings import Settings, SettingsError, told_as
from chassis.starting import bring_up_to_date, grpc_server

log = logging.getLogger(__name__)

LOOP_RESTART_S = 1.0
"""Pause before a background loop that failed is started again."""
CLOSE_TIMEOUT_S = 5.0
"""How long a connection of a service's own, or what it still has to write, may take at the end."""
LOOP_QUIET_S = 10.0
"""A loop that has run for longer before it failed has a trouble that is new."""
Loop = Callable[[], Awaitable[None]]
"""Runs until cancelled; started again when it fails."""


@dataclass
class Host:
    """What a process offers to the service that is wired into it."""

    settings: Settings
    database: Database
    outbox: Outbox
    signer: Signer
    peers: dict[str, Peer] = field(default_factory=dict)
    bus: Bus = field(init=False)
    """Open while the process works."""

    def __post_init__(self) -> None:
        self.bus = Bus(self.settings.nats_url, self.settings.name)

    def peer(self, name: str) -> Peer:
        """Another service. Raises SettingsError when its address is not set."""
        if name not in self.peers:
            address = self.settings.peers.get(name)
            if not address:
                raise SettingsError(f"WRITER_PEER_{name.upper()} is not set")
            self.peers[name] = Peer(name, address, self.signer)
        return self.peers[name]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service brings: servicers, subscriptions and loops that run until cancelled."""

    servicers: Sequence[Servicer]
    subscriptions: Sequence[Subscription] = ()
    loops: Sequence[Loop] = ()
    close: Sequence[Callable[[], Awaitable[None]]] = ()
    """Called at the very end, for connections of the service's own."""


Wire = Callable[[Host], Parts]


def run(name: str, wire: Wire, package: str | None = None) -> None:
    """Runs a service until it is told to stop; exits with one sentence when it cannot start."""
    try:
        settings = Settings.from_env(name)
        telemetry.set_up_logging(name, settings.log_level)
        if settings.migrate:
            bring_up_to_date(settings.database_url, package or f"services.{name}")
        uvloop.run(serve(settings, wire))
    except (SettingsError, Unavailable) as error:
        sys.exit(f"{name}: {error}")


async def serve(settings: Settings, wire: Wire) -> None:
    """Runs a service in this event loop until SIGTERM or SIGINT."""
    async with hosting(settings) as host:
        parts = wire(host)
        server = grpc_server(settings, parts.servicers, audience=settings.name)
        async with working(host, parts, server):
            log.info("ready", extra={"address": settings.listen, "port": server.port})
            await stop_signal()
            log.info("stopping")


@asynccontextmanager
async def hosting(settings: Settings) -> AsyncIterator[Host]:
    """Opens the database and the keys; closes peers and database at the end."""
    with told_as("WRITER_SIGNING_KEY"):
        signer = Signer(settings.name, load_signing_key(settings.signing_key))
    with told_as("WRITER_DATABASE_URL"):
        database = open_database(settings.database_url)
    host = Host(settings=settings, database=database, outbox=Outbox(settings.name), signer=signer)
    try:
        yield host
    finally:
        for peer in host.peers.values():
            await peer.close()
        await host.database.close()


@asynccontextmanager
async def working(
    host: Host, parts: Parts, server: Server, *, service: str | None = None
) -> AsyncIterator[None]:
    """Serves calls, publishes and consumes events and runs the loops, until the block ends."""
    settings = host.settings
    bus = host.bus
    relay = Relay(host.database, bus)
    consumers = Consumers(
        service or settings.name,
        bus,
        host.database,
        parts.subscriptions,
        ack_wait_s=settings.ack_wait_s,
        deliveries_max=settings.deliveries_max,
    )
    # What is pushed last ends first: no new calls, then nothing new to do, then the events.
    async with AsyncExitStack() as stack:
        for close in reversed(parts.close):
            stack.push_async_callback(_within_bounds, close)
        # Health answers while NATS is waited for.
        await server.start()
        try:
            await bus.open()
        except Unavailable:
            await server.stop()
            raise
        stack.push_async_callback(bus.close)
        relay.start()
        stack.push_async_callback(relay.stop)
        consumers.start()
        stack.push_async_callback(consumers.stop)
        health = Health(server, host.database)
        background: list[Loop] = [
            *parts.loops,
            partial(keep_tidy, host.database),
            partial(keep_watch, relay, consumers),
            health.keep,
        ]
        loops = [asyncio.create_task(_keep_running(loop)) for loop in background]
        stack.push_async_callback(_cancel, loops)
        stack.push_async_callback(server.stop)
        keep_for_good()
        await health.ask()
        yield


def keep_for_good() -> None:
    """Takes all that the start has made out of the collector's sight.

    It stays anyway; a full collection over it would make callers wait for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()


async def stop_signal() -> None:
    """Returns at the first SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


async def _within_bounds(close: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await close()
    except (TimeoutError, Unavailable) as error:
        log.warning("not closed within %s s: %s %s", CLOSE_TIMEOUT_S, close.__qualname__, error)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_running(loop: Loop) -> None:
    told = False
    while True:
        started_s = clock.elapsed_s()
        try:
            await loop()
        except Unavailable as error:
            # What fails again at once has been told of, and why it fails is known.
            if not told or clock.elapsed_s() - started_s > LOOP_QUIET_S:
                log.warning("a background loop is started again and again: %s", error)
            told = True
        except Exception:
            log.exception("a background loop failed and is started again")
            told = False
        await asyncio.sleep(LOOP_RESTART_S)
