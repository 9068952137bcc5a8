"""Logs as the bus's scripts write them, made from a seed: days long in a moment, with failures in them."""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from observatory.bus.keys import Keys, day_of
from observatory.bus.reads.log import read_events
from observatory.history.chronicle import Chronicle
from observatory.history.columns import read_page
from observatory.history.segment import Segment, SegmentWriter
from observatory.history.source import PastSource
from observatory.history.stretch import Cache
from observatory.model.books import Books

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import redis

    from observatory.model.event import Event

    Entry = tuple[bytes, list[bytes]]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LANES = tuple(f"cortex:tasks:{name}" for name in ("critical", "high", "normal", "low", "coding:high"))
AGENTS = tuple(f"{name}@host-{at}:{4000 + at}:0000000{at}" for at, name in enumerate(("pink", "harold", "olive")))


def yesterday(hour: int = 9) -> int:
    """Return an hour of yesterday, ms since the epoch."""
    return int(time.time() * 1000) // DAY_MS * DAY_MS - DAY_MS + hour * HOUR_MS


def run(kind: str, *parts: str) -> list[bytes]:
    """Return a run of facts as `written` in common.lua has it, from task, type, lane … on."""
    return [kind.encode(), "\x1f".join((*parts, *[""] * (8 - len(parts)))).encode()]


def made_up(seed: int, start_ms: int, *, per_s: float = 3.0) -> Iterator[Entry]:
    """Yield entries of a log without end: work, failures, deaths, pauses, agents that come and go."""
    rnd = random.Random(seed)
    heap: list[tuple[float, int, list[bytes]]] = []
    at, serial, last, seq = float(start_ms), 0, 0, 0

    def later(after_ms: float, *said: list[bytes]) -> None:
        nonlocal serial
        serial += 1
        heapq.heappush(heap, (at + after_ms, serial, [part for one in said for part in one]))

    for agent in AGENTS:
        later(0, run("agent_up", "", "", "", agent, "0"))
    while True:
        at += rnd.expovariate(per_s) * 1000
        ids = [f"{rnd.getrandbits(64):016x}" for _ in range(rnd.choice((1, 1, 1, 3)))]
        names, type_, lane, agent = (
            "\x1e".join(ids),
            rnd.choice(("deploy", "review")),
            rnd.choice(LANES),
            rnd.choice(AGENTS),
        )
        wait, ran = rnd.expovariate(1 / 300), rnd.expovariate(1 / 900)
        times = "\x1e".join([str(int(wait))] * len(ids))
        later(0, run("published", names, type_, lane, "harold", "1"))
        later(wait, run("taken", names, type_, lane, agent, "1", "", times))
        end, said = wait + ran, (type_, lane, agent, "1")
        for id_ in ids:
            dice = rnd.random()
            if dice < 0.8:
                later(end, run("completed", id_, *said, "", str(int(ran))))
            elif dice < 0.9:
                later(end, run("retried", id_, *said, "", str(int(ran)), "TimeoutError: no answer in 30 s"))
                later(
                    end + 5000,
                    run("promoted", id_, type_, lane, "", "2"),
                    run("taken", id_, type_, lane, agent, "2", "", "9"),
                )
                later(
                    end + 6000, run("dead_lettered", id_, type_, lane, agent, "2", "error", "7", f"ValueError: {id_}")
                )
                if dice < 0.85:
                    later(end + 9000, run("requeued", id_, type_, lane, "operator", "1"))
            elif dice < 0.95:
                later(end, run("cancelled", id_, type_, lane, "operator", "1"))
        if rnd.random() < 0.01:
            later(0, run("agent_lost", "", "", "", agent, "0"))
            later(4000, run("agent_up", "", "", "", agent, "0"))
            later(0, run("paused", "", "", lane, "operator", "0", "", "3000"))
            later(3000, run("resumed", "", "", lane, "operator", "0"))
        while heap and heap[0][0] < at:
            due, _, flat = heapq.heappop(heap)
            ms = int(due)
            seq = seq + 1 if ms <= last else 0
            last = max(ms, last)
            yield f"{last}-{seq}".encode(), [b"ts", str(ms).encode(), *flat]


def entries(count: int, *, seed: int = 7, start_ms: int | None = None, per_s: float = 3.0) -> list[Entry]:
    """Return so many entries of `made_up`, from an hour of yesterday on."""
    return list(islice(made_up(seed, yesterday() if start_ms is None else start_ms, per_s=per_s), count))


def facts(log: Sequence[Entry], partition: int | None = None) -> list[Event]:
    """Return the facts of entries, as the client reads them one by one."""
    found = [event for ident, flat in log for event in read_events(ident, flat)]
    return found if partition is None else [replace(one, id=f"{one.id}@{partition}") for one in found]


def put(client: redis.Redis, log: Sequence[Entry], prefix: str = "cortex") -> None:
    """Write entries into the logs of their days."""
    pipe = client.pipeline(transaction=False)
    for ident, flat in log:
        day = day_of(int(flat[1]))
        pipe.execute_command("XADD", f"{prefix}:events:{day}", ident, *flat)
    pipe.execute()


def past_of(folder: Path, log: Sequence[Entry], *, origin: str = "incident.obs") -> PastSource:
    """Return the past that a log tells, sealed in a folder, without any engine."""
    writer = SegmentWriter(folder, "past", Books())
    writer.add(read_page(log))
    writer.finish()
    writer.keep()
    return PastSource(Chronicle([Segment.at(folder, "past", Cache())]), Keys(), origin=origin)
