"""Calls to other services: signed, with a deadline that leaves us time to say what failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from chassis import caller, clock, interceptors, status
from chassis.caller import Caller, Signer

_S = TypeVar("_S")
_R = TypeVar("_R")

TIMEOUT_S = 5.0
"""For one call, when the running call allows that much."""
SHAVE_S = 0.02
"""Kept back of the running deadline, so that we can still answer when the peer does not."""
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
METADATA_BYTES_MAX = 64 * 1024
"""What an answer's trailers may take: gRPC's own 8 KiB lose an error that names many fields."""
# Only UNAVAILABLE is retried; every method that services call on each other is a read or keyed.
_RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "waitForReady": False,
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    # A peer that restarts is found again within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Loopback and cluster addresses are meant as they are.
    ("grpc.enable_http_proxy", 0),
)


class Peer:
    """Another service, called in the name of a caller that this process vouches for."""

    def __init__(self, name: str, address: str, signer: Signer) -> None:
        self.name = name
        self._signer = signer
        self._channel = grpc.aio.insecure_channel(
            address, options=[*CHANNEL_OPTIONS, ("grpc.service_config", _RETRIES)]
        )

    def stub(self, stub: Callable[[grpc.aio.Channel], _S]) -> _S:
        """A generated stub over this peer's channel."""
        return stub(self._channel)

    async def call(
        self, method: Any, request: Any, who: Caller, *, timeout_s: float = TIMEOUT_S
    ) -> Any:
        """Calls a stub's unary method. Raises the peer's Refusal, or one of kind UNAVAILABLE."""
        try:
            return await method(
                request, metadata=self.metadata(who), timeout=self._timeout_s(timeout_s)
            )
        except grpc.aio.AioRpcError as error:
            raise status.from_error(error) from error

    def metadata(self, who: Caller) -> list[tuple[str, str]]:
        """Exactly what a service reads: the signed caller, the request id, the trace."""
        entries = [(caller.TOKEN_KEY, self._signer.mint(who, self.name))]
        if who.request_id:
            entries.append((caller.REQUEST_ID_KEY, who.request_id))
        if who.traceparent:
            entries.append((caller.TRACE_KEY, who.traceparent))
        return entries

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    @staticmethod
    def _timeout_s(asked_s: float) -> float:
        ends_s = interceptors.deadline_s.get()
        if ends_s is None:
            return asked_s
        return max(0.001, min(asked_s, ends_s - clock.elapsed_s() - SHAVE_S))
