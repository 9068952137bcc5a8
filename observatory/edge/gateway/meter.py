"""What a gateway counts of itself, in the Prometheus text format."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Final

from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES: Final = 2000
"""Requests of one route that quantiles are made of, the last ones."""

QUANTILES: Final = (0.5, 0.95, 0.99)


class Meter:
    """Counters of one gateway.

    Attributes:
        sockets: Sockets and event streams that are open, by kind.
        pushed: Frames that were written to sockets, by kind.
        resyncs: Times that a socket was so slow that it was told to resync.
        waits: Long polls under way.
    """

    def __init__(self) -> None:
        self.sockets: Counter[str] = Counter()
        self.pushed: Counter[str] = Counter()
        self.resyncs = 0
        self.waits = 0
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()
        self._lately: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=SAMPLES))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; *route* is its template, never its path: paths are as many as there are agents."""
        self._requests[method, route, status] += 1
        self._seconds[route] += seconds
        self._counts[route] += 1
        self._lately[route].append(seconds)

    def exposition(self) -> str:
        """Return everything in the Prometheus text format, version 0.0.4."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _head("observatory_gateway_requests_total", "counter", "Requests by route and status.")
        for (method, route, status), count in sorted(self._requests.items()):
            labels = f'method="{method}",route="{_escaped(route)}",status="{status}"'
            yield f"observatory_gateway_requests_total{{{labels}}} {count}"
        name = "observatory_gateway_request_seconds"
        yield from _head(name, "summary", f"Time to answer, the last {SAMPLES} requests of a route.")
        for route, lately in sorted(self._lately.items()):
            ordered = sorted(lately)
            for share in QUANTILES:
                took = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
                yield f'{name}{{route="{_escaped(route)}",quantile="{share}"}} {took:.6f}'
            yield f'{name}_sum{{route="{_escaped(route)}"}} {self._seconds[route]:.6f}'
            yield f'{name}_count{{route="{_escaped(route)}"}} {self._counts[route]}'
        yield from _head("observatory_gateway_sockets", "gauge", "Open sockets and event streams.")
        for kind in ("agent", "events", "sse"):
            yield f'observatory_gateway_sockets{{kind="{kind}"}} {self.sockets[kind]}'
        yield from _head("observatory_gateway_pushed_total", "counter", "Frames written to sockets and event streams.")
        for kind, count in sorted(self.pushed.items()):
            yield f'observatory_gateway_pushed_total{{kind="{kind}"}} {count}'
        yield from _head("observatory_gateway_resyncs_total", "counter", "Sockets that were too slow for their queue.")
        yield f"observatory_gateway_resyncs_total {self.resyncs}"
        yield from _head("observatory_gateway_long_polls", "gauge", "Requests that wait for messages or tasks.")
        yield f"observatory_gateway_long_polls {self.waits}"


def _head(name: str, kind: str, words: str) -> tuple[str, str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return line(value).replace("\\", r"\\").replace('"', r"\"")
