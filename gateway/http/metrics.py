"""What Prometheus is told of the gateway, and the small server that tells it.

Every label has a bounded set of values: templates of routes, never addresses; verbs and codes
that are known, else `other`. Served on an address of its own, so that nobody outside reads it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

PATH = "/metrics"
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets, from a hit in memory to the slowest deadline."""
_ENDS = (*map(str, SECONDS), "+Inf")
_VERBS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_NO_ROUTE, _NO_VERB = "none", "other"


class _Requests(Collector):
    """Counts of requests, added up in plain numbers: the library's counters take locks, of which
    one event loop has no need."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._counts: dict[tuple[str, str, str], int] = {}
        self._seconds: dict[tuple[str, str], _Seconds] = {}

    def ended(self, route: str, verb: str, status: str, duration_s: float) -> None:
        """One more."""
        self.in_flight -= 1
        self.count(route, verb, status)
        seconds = self._seconds.get((route, verb))
        if seconds is None:
            seconds = self._seconds[route, verb] = _Seconds()
        seconds.observe(duration_s)

    def count(self, route: str, verb: str, status: str) -> None:
        """One more, however long it took."""
        key = (route, verb, status)
        self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        counts = CounterMetricFamily(
            "writer_gateway_requests",
            "Requests that ended, by route, verb and status; 499: the client hung up.",
            labels=("route", "verb", "status"),
        )
        for key, count in self._counts.items():
            counts.add_metric(key, count)
        yield counts
        histogram = HistogramMetricFamily(
            "writer_gateway_request_seconds",
            "From the headers to the last byte of the answer.",
            labels=("route", "verb"),
        )
        for labels, seconds in self._seconds.items():
            histogram.add_metric(labels, seconds.buckets(), seconds.total)
        yield histogram
        yield GaugeMetricFamily(
            "writer_gateway_requests_in_flight",
            "Requests that are being answered.",
            value=self.in_flight,
        )


class _Seconds:
    """How long something took, in buckets."""

    def __init__(self) -> None:
        self.total = 0.0
        self._counts = [0] * (len(SECONDS) + 1)

    def observe(self, seconds: float) -> None:
        self.total += seconds
        self._counts[bisect_left(SECONDS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Upper ends, and how many took at most so long."""
        return list(zip(_ENDS, accumulate(self._counts), strict=True))


class Metrics:
    """Counters of one gateway process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = _Requests()
        self._registry.register(self._requests)
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
        self._requests.in_flight += 1

    def ended(self, route: str, verb: str, status: int, duration_s: float) -> None:
        """A request has ended."""
        known = verb if verb in _VERBS else _NO_VERB
        self._requests.ended(route or _NO_ROUTE, known, str(status), duration_s)

    def refused_early(self, status: int) -> None:
        """Something was refused before it was a request."""
        self._requests.count(_NO_ROUTE, _NO_VERB, str(status))

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
