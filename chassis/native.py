"""pygrpc-native's server, which closes only after its last answers have left."""

from __future__ import annotations

import time
from typing import Any

import grpc.aio
import pygrpc_native.aio

SENT_WITHIN_S = 0.1
"""By then its threads have sent what was handed to them; 0.5 closes without asking them."""


class _Patient:
    """What speaks HTTP/2 for the server; closed in a thread, so it may wait there."""

    def __init__(self, front: Any) -> None:
        self._front = front

    def __getattr__(self, name: str) -> Any:
        return getattr(self._front, name)

    def close(self) -> None:
        time.sleep(SENT_WITHIN_S)
        self._front.close()


class _Server(pygrpc_native.aio.Server):
    async def stop(self, grace: float | None) -> None:
        if not self._stopping and self._front is not None:
            # Under load one running call of twenty lost its answer.
            patient: Any = _Patient(self._front)
            self._front = patient
        await super().stop(grace)


def server(**options: Any) -> grpc.aio.Server:
    """As `grpc.aio.server`."""
    return _Server(**options)
