"""A gRPC server with the layers, health and reflection, that stops without dropping calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.caller import Verifier
from chassis.client import MESSAGE_BYTES_MAX
from chassis.interceptors import Pipeline

log = logging.getLogger(__name__)

ENGINES = ("grpcio", "native")
"""What does HTTP/2 and gRPC: grpcio's own server, or that of `pygrpc-native`, which answers a call
for a sixth of the processor time but is young and knows no TLS. The first is the default."""
engine_default = ENGINES[0]
DRAIN_S = 10.0
"""How long running calls may go on after a stop was asked for."""
_INTERNAL = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")

Servicer = tuple[Callable[[Any, grpc.aio.Server], None], Any]
"""A generated `add_…_to_server` and the servicer it is for."""


class Server:
    """Serves the given servicers on one address."""

    def __init__(
        self,
        address: str,
        servicers: Sequence[Servicer],
        verifier: Verifier,
        *,
        reuse_port: bool = False,
        engine: str = "",
    ) -> None:
        """`engine` is one of ENGINES; empty for the default."""
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_unsent_answer)
        self._health = health.aio.HealthServicer()
        self.names = [_name_of(servicer) for _, servicer in servicers]
        self._server: grpc.aio.Server = _engine(engine or engine_default).server(
            interceptors=[Pipeline(self.names, verifier)],
            options=[
                ("grpc.so_reuseport", int(reuse_port)),
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ],
        )
        for add, servicer in servicers:
            add(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*self.names, *_INTERNAL], self._server)
        # Raises RuntimeError when the address is taken.
        self.port = self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Accepts calls; health says NOT_SERVING until `ready`."""
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def ready(self) -> None:
        """Tells whoever asks that calls will be answered."""
        for name in ("", *self.names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def unready(self) -> None:
        """Tells whoever asks that calls will not be answered for now, until `ready`."""
        for name in ("", *self.names):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)

    async def stop(self) -> None:
        """Says so to health checks, refuses new calls, lets running ones end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(DRAIN_S)


def _is_no_unsent_answer(record: logging.LogRecord) -> bool:
    """Says in one line that an answer could not be sent, and lets all else of grpcio pass.

    Mostly its caller has hung up, which strangers can do as often as they like: no traceback.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, grpc.aio.InternalError):
        log.info("an answer was not sent: %s: %.200s", record.getMessage(), error)
        return False
    return True


def _engine(name: str) -> Any:
    if name == "native":
        # Imported here: it is an extra that few installations have.
        from chassis import native

        return native
    return grpc.aio


def _name_of(servicer: Any) -> str:
    """Full name of the gRPC service that a generated servicer base class stands for."""
    for base in type(servicer).__mro__:
        module = base.__module__
        if module.endswith("_pb2_grpc") and base.__name__.endswith("Servicer"):
            package = module.rsplit(".", 1)[0]
            return f"{package}.{base.__name__.removesuffix('Servicer')}"
    raise TypeError(f"{type(servicer).__name__} is not a generated servicer")
