"""Asks one process whether it is ready: python -m standalone.health grpc|http HOST:PORT"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from typing import Any

TIMEOUT_S = 2.0
BODY_BYTES_MAX = 65_536


def grpc_is_serving(address: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether the gRPC health service at `address` says SERVING."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    # Neither a proxy of the user's nor the memory of an earlier failure shall answer for it.
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def http_is_ready(address: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether GET /readyz at `address` answers 200."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        answer.read(BODY_BYTES_MAX)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answer.status == http.client.OK


PROBES = {"grpc": grpc_is_serving, "http": http_is_ready}


def main(argv: Sequence[str]) -> int:
    """0 when ready, 1 when not, 2 when the question makes no sense."""
    if len(argv) != 2 or argv[0] not in PROBES or ":" not in argv[1]:
        print(__doc__, file=sys.stderr)
        return 2
    return 0 if PROBES[argv[0]](argv[1]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
