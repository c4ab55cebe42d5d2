"""What the server did, in the text format of Prometheus
(https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counts:
    """Requests by route and status, and how long they took. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: dict[str, list[int]] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds[route] += seconds
            buckets = self._buckets.setdefault(route, [0] * (len(EDGES) + 1))
            buckets[bisect_left(EDGES, seconds)] += 1

    def requests(self, *, at_least: int = 0) -> int:
        """Requests so far whose status is at least the given one."""
        with self._lock:
            return sum(n for (_, _, status), n in self._requests.items() if status >= at_least)

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of it, with gauges by name (labels included)."""
        with self._lock:
            return "\n".join([*self._counters(), *self._histograms(), *_gauges(gauges), ""])

    def _counters(self) -> Iterator[str]:
        name = "related_pins_requests_total"
        yield f"# HELP {name} Requests by route and status."
        yield f"# TYPE {name} counter"
        for (method, route, status), n in sorted(self._requests.items()):
            yield f'{name}{{method="{method}",route="{route}",status="{status}"}} {n}'

    def _histograms(self) -> Iterator[str]:
        name = "related_pins_request_seconds"
        yield f"# HELP {name} Seconds from the first byte of a request to the last of its answer."
        yield f"# TYPE {name} histogram"
        for route, buckets in sorted(self._buckets.items()):
            edges = [*map(str, EDGES), "+Inf"]
            for edge, n in zip(edges, accumulate(buckets), strict=True):
                yield f'{name}_bucket{{route="{route}",le="{edge}"}} {n}'
            yield f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'{name}_count{{route="{route}"}} {sum(buckets)}'


def _gauges(gauges: Mapping[str, float]) -> Iterator[str]:
    for name, value in gauges.items():
        yield f"# TYPE {name.partition('{')[0]} gauge"
        yield f"{name} {value:g}"


class Counted:
    """ASGI middleware that adds every request to the counts."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self.app = app
        self.counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - begun
            self.counts.add(_method(scope), _route(scope), status, seconds)


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


def _route(scope: Scope) -> str:
    """The route's path with names for its parts: never what a client made up."""
    path = getattr(scope.get("route"), "path", "")
    return path.replace(":path}", "}") or "other"
