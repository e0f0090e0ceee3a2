"""What Prometheus is told of the gateway, and the small server that tells it.

Every label has a bounded set of values: templates of routes, never addresses; verbs and codes
that are known, else `other`. Served on an address of its own, so that nobody outside reads it.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PATH = "/metrics"
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets, from a hit in memory to the slowest deadline."""
_VERBS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_NO_ROUTE = "none"


class Metrics:
    """Counters of one gateway process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "writer_gateway_requests",
            "Requests that ended, by route, verb and status; 499: the client hung up.",
            ("route", "verb", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "writer_gateway_request_seconds",
            "From the headers to the last byte of the answer.",
            ("route", "verb"),
            buckets=SECONDS,
            registry=self._registry,
        )
        # To look labels up takes longer than to count; they are as few as the labels are bounded.
        self._known: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._in_flight = Gauge(
            "writer_gateway_requests_in_flight",
            "Requests that are being answered.",
            registry=self._registry,
        )
        self._upstream = Counter(
            "writer_gateway_upstream_errors",
            "Calls that a service did not answer properly, by service and gRPC code.",
            ("service", "code"),
            registry=self._registry,
        )
        self._throttled = Counter(
            "writer_gateway_throttled",
            "Requests refused as too many, by scope.",
            ("scope",),
            registry=self._registry,
        )

    def began(self) -> None:
        """A request begins."""
        self._in_flight.inc()

    def ended(self, route: str, verb: str, status: int, duration_s: float) -> None:
        """A request has ended."""
        self._in_flight.dec()
        key = (route or _NO_ROUTE, verb if verb in _VERBS else "other", str(status))
        known = self._known.get(key)
        if known is None:
            known = self._requests.labels(*key), self._seconds.labels(*key[:2])
            self._known[key] = known
        requests, seconds = known
        requests.inc()
        seconds.observe(duration_s)

    def upstream_error(self, service: str, code: str) -> None:
        """A service failed to answer."""
        self._upstream.labels(service, code).inc()

    def throttled(self, scope: str) -> None:
        """A request was one too many."""
        self._throttled.labels(scope).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' own format."""
        return generate_latest(self._registry)


class MetricsPage:
    """The ASGI application behind the metrics' own address."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers GET /metrics, and nothing else."""
        del receive
        if scope["type"] != "http":
            return
        found = scope["method"] == "GET" and scope["path"] == PATH
        body = self._metrics.text() if found else b""
        media = CONTENT_TYPE_LATEST if found else "text/plain"
        headers = [
            (b"content-type", media.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        status = 200 if found else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
