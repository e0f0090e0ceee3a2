"""The services behind the gateway: one channel each, raw bytes, signed callers.

A call carries the metadata entries that are made here and no others; no header of a client is
ever passed on. What may have happened is repeated only when it is a read: a create without an
idempotency key is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import grpc
from grpc_health.v1 import health_pb2

from chassis import caller, clock, status
from chassis.caller import Caller, Signer
from chassis.errors import Kind, Refusal
from chassis.waiting import outcome
from gateway import grpc_client
from gateway.contracts import Binding, Method
from gateway.grpc_client import Channel, Metadata
from gateway.http.exchange import Exchange
from gateway.http.metrics import Metrics

IDENTITY = "identity"
"""The one service that is told the client's address: it counts attempts to sign in."""
HEALTH_TIMEOUT_S = 2.0
HEALTH_KNOWN_S = 0.5
"""How long an answer about readiness is given again."""
_CHECK = "/grpc.health.v1.Health/Check"
_FAILURES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Codes that no refusal of a healthy service has."""


class Upstream:
    """Channels to the services, and how a call to one is made."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        signer: Signer,
        bindings: Iterable[Binding],
        metrics: Metrics,
    ) -> None:
        """`addresses` by service name; `bindings` tell which methods are reads."""
        self._signer = signer
        self._metrics = metrics
        self._reads = {each.method.path for each in bindings if each.verb == "GET"}
        self._health: asyncio.Future[list[str]] | None = None
        self._health_until_s = 0.0
        self._channels = {name: Channel(address) for name, address in addresses.items()}

    def has(self, peer: str) -> bool:
        """Whether the address of a service is known."""
        return peer in self._channels

    def method(self, method: Method) -> grpc_client.Method:
        """The method as a function of serialized requests; made once for each route."""
        is_read = method.path in self._reads
        return self._channels[method.peer].method(method.path, is_read=is_read)

    def metadata(self, who: Caller, exchange: Exchange, peer: str) -> Metadata:
        """What a service is told about the caller and the request."""
        entries = (
            (caller.TOKEN_KEY, self._signer.mint(who, peer)),
            (caller.REQUEST_ID_KEY, exchange.request_id),
            (caller.TRACE_KEY, exchange.traceparent),
        )
        if peer == IDENTITY and exchange.client_address:
            # Nobody else has any use for where somebody sits.
            return (*entries, (caller.ADDRESS_KEY, exchange.client_address))
        return entries

    def refusal(self, error: grpc.aio.AioRpcError, method: Method) -> Refusal:
        """What a failed call means for the client; counted when it is the service's fault."""
        if error.code() in _FAILURES:
            self._metrics.upstream_error(method.peer, error.code().name)
        return refusal_of(error, method)

    async def not_ready(self) -> list[str]:
        """Names of the services that do not say they serve.

        Whoever asks meanwhile, or shortly after, gets the same answer: strangers may ask.
        """
        if self._health is None or (
            self._health.done() and self._health_until_s <= clock.elapsed_s()
        ):
            self._health = asyncio.ensure_future(self._ask_all())
        return await outcome(self._health)

    async def _ask_all(self) -> list[str]:
        names = sorted(self._channels)
        healthy = await asyncio.gather(*(self._serves(name) for name in names))
        self._health_until_s = clock.elapsed_s() + HEALTH_KNOWN_S
        return [name for name, serves in zip(names, healthy, strict=True) if not serves]

    async def _serves(self, name: str) -> bool:
        check = self._channels[name].method(_CHECK, is_read=True)
        request = health_pb2.HealthCheckRequest().SerializeToString()
        try:
            wire = await check(request, (), HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        answer = health_pb2.HealthCheckResponse.FromString(wire)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Closes all channels."""
        if self._health is not None:
            self._health.cancel()
        await asyncio.gather(*(each.close() for each in self._channels.values()))


def refusal_of(error: grpc.aio.AioRpcError, method: Method) -> Refusal:
    """What a failed call means for the client."""
    refusal = status.from_error(error)
    if (
        refusal.kind is Kind.UNAUTHENTICATED
        and method.peer != "identity"
        and method.access != "public"
    ):
        # The client was authenticated; it is the gateway that the service does not trust.
        raise RuntimeError(f"{method.peer} refused the gateway's token: {refusal.message}")
    return refusal
