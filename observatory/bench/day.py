"""A made-up day of a busy swarm, written into an engine as the bus's scripts write it, an hour at a time."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

PER_TASK: Final = 3.1
"""Events of a task on average: published, taken, completed, and a few more where it fails."""

HOUR_MS: Final = 3_600_000

_TYPES = ("code_task", "deploy", "review", "research", "test")
_LANES = tuple(f"cortex:tasks:{name}" for name in ("critical", "high", "normal", "low", "coding:high", "coding:normal"))
_ERRORS = ("TimeoutError: no answer in 30 s", "ValueError: bad repo {}", "ConnectionError: refused by 10.0.0.{}")


class Day:
    """Events that follow each other for ever.

    Args:
        seed: Decides everything.
        start_ms: When it begins, ms since the epoch.
        per_hour: Events in an hour, on average.
        agents: How many agents work.
    """

    def __init__(self, seed: int, start_ms: int, per_hour: int, agents: int = 40) -> None:
        self._rnd = random.Random(seed)
        self._at = float(start_ms)
        self._gap_ms = HOUR_MS / per_hour * PER_TASK
        self._agents = [f"agent-{at}@host-{at % 8}:{4000 + at}:{self._rnd.getrandbits(32):08x}" for at in range(agents)]
        self._heap: list[tuple[int, int, bytes, str]] = []
        self._last = (start_ms, -1)
        self._serial = 0
        self.events = 0

    def write(self, client: redis.Redis, key: str, until_ms: int) -> int:
        """Append what happens before *until_ms* to the log *key*; returns how many events that are."""
        before, pipe = self.events, client.pipeline(transaction=False)
        for count, (ident, stamp, kind, said) in enumerate(self._until(until_ms), 1):
            pipe.execute_command("XADD", key, ident, "ts", stamp, kind, said)
            if not count % 2000:
                pipe.execute()
        pipe.execute()
        return self.events - before

    def _until(self, until_ms: int) -> Iterator[tuple[str, int, bytes, str]]:
        while self._at < until_ms:
            while self._heap and self._heap[0][0] <= self._at:
                yield self._entry(*heapq.heappop(self._heap))
            self._task()
            self._at += self._rnd.expovariate(1 / self._gap_ms)

    def _entry(self, stamp: int, _serial: int, kind: bytes, said: str) -> tuple[str, int, bytes, str]:
        ms, seq = self._last
        self._last = (stamp, 0) if stamp > ms else (ms, seq + 1)
        self.events += 1
        return f"{self._last[0]}-{self._last[1]}", stamp, kind, said

    def _later(self, ms: float, kind: bytes, *said: str) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (int(self._at + ms), self._serial, kind, "\x1f".join(said)))

    def _task(self) -> None:
        rnd = self._rnd
        ident, type_, lane = f"{rnd.getrandbits(128):032x}", rnd.choice(_TYPES), rnd.choice(_LANES)
        agent, wait, ran = rnd.choice(self._agents), rnd.expovariate(1 / 200), rnd.lognormvariate(6.2, 1)
        end, dice = wait + ran, rnd.random()
        self._later(0, b"published", ident, type_, lane, "harold", "1", "", "", "")
        self._later(wait, b"taken", ident, type_, lane, agent, "1", "", str(int(wait)), "")
        if dice < 0.97:
            self._later(end, b"completed", ident, type_, lane, agent, "1", "", str(int(ran)), "")
            return
        error = rnd.choice(_ERRORS).format(rnd.randrange(256))
        self._later(end, b"retried", ident, type_, lane, agent, "1", "", str(int(ran)), error)
        self._later(end + 5000, b"promoted", ident, type_, lane, "", "2", "", "", "")
        self._later(end + 5010, b"taken", ident, type_, lane, agent, "2", "", str(int(end) + 5010), "")
        if dice < 0.997:
            self._later(end + 5400, b"completed", ident, type_, lane, agent, "2", "", "390", "")
        else:
            self._later(end + 5400, b"dead_lettered", ident, type_, lane, agent, "2", "error", "390", error)
