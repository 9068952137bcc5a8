"""Markers that draw themselves: what an operator would have put a flag at, found in the facts of a range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from observatory.model.agent import agent_of
from observatory.model.event import EventKind
from observatory.model.text import line
from observatory.model.timeline import Mark, MarkKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.history.chronicle import Chronicle
    from observatory.model.event import Event

BURST: Final = 5
"""Dead letters within `BURST_MS` that are a burst."""

BURST_MS: Final = 10_000

MOST: Final = 2_000
"""Markers of a range at most."""

_TELLS: Final[dict[str, tuple[MarkKind, Callable[[Event], str]]]] = {
    EventKind.AGENT_LOST: (MarkKind.LOST, lambda event: f"{agent_of(event.agent)} fell silent"),
    EventKind.AGENT_UP: (MarkKind.BACK, lambda event: f"{agent_of(event.agent)} came"),
    EventKind.AGENT_DOWN: (MarkKind.LOST, lambda event: f"{agent_of(event.agent)} left"),
    EventKind.PAUSED: (MarkKind.PAUSE, lambda event: f"{event.agent} paused {event.lane}"),
    EventKind.RESUMED: (MarkKind.PAUSE, lambda event: f"{event.lane} goes on"),
    EventKind.REQUEUED: (MarkKind.OPERATOR, lambda event: f"{event.agent} requeued {event.task}"),
    EventKind.ALERT_FIRED: (MarkKind.ALERT, lambda event: event.detail),
    EventKind.ALERT_RESOLVED: (MarkKind.ALERT, lambda event: f"over: {event.detail}"),
    EventKind.DATA_LOSS_SUSPECTED: (MarkKind.ALERT, lambda event: f"data loss suspected: {event.lane} {event.detail}"),
}


def marks_of(chronicle: Chronicle, from_ms: int, to_ms: int) -> tuple[Mark, ...]:
    """Return the markers of a range, in order; several of one kind in one second are one."""
    found = [
        Mark(event.ts_ms, kind, line(tell(event), 200))
        for event in chronicle.of_kinds(_TELLS, from_ms, to_ms, most=MOST)
        for kind, tell in [_TELLS[event.kind]]
    ]
    found += bursts(chronicle, from_ms, to_ms)
    found += [Mark(gap.from_ms, MarkKind.GAP, gap.why) for gap in chronicle.gaps if from_ms <= gap.from_ms < to_ms]
    return tuple(_merged(sorted(found, key=lambda mark: (mark.at_ms, mark.kind))))


def bursts(chronicle: Chronicle, from_ms: int, to_ms: int) -> list[Mark]:
    """Return where many tasks died within a short while: a mark at the beginning of each such while."""
    deaths: dict[int, int] = {}
    for stretch in chronicle.stretches:
        seconds, total = stretch.seconds().get(EventKind.DEAD_LETTERED, (np.empty(0, np.int64), np.empty(0, np.int64)))
        inside = (seconds * 1000 >= from_ms) & (seconds * 1000 < to_ms)
        for second, count in zip(seconds[inside].tolist(), np.diff(total, prepend=0)[inside].tolist(), strict=True):
            deaths[second] = deaths.get(second, 0) + count
    marks: list[Mark] = []
    order = sorted(deaths)
    start = last = None
    count = 0
    for second in [*order, None]:
        if second is not None and last is not None and (second - last) * 1000 <= BURST_MS:
            count, last = count + deaths[second], second
            continue
        if start is not None and count >= BURST:
            marks.append(Mark(start * 1000, MarkKind.DEATHS, f"{count} tasks died"))
        if second is not None:
            start, last, count = second, second, deaths[second]
    return marks


def _merged(marks: list[Mark]) -> list[Mark]:
    kept: list[Mark] = []
    number = 1
    for mark in marks:
        same = kept and kept[-1].kind is mark.kind and mark.at_ms // 1000 == kept[-1].at_ms // 1000
        if same:
            number += 1
            first = kept[-1].text.partition(" (and ")[0]
            kept[-1] = Mark(kept[-1].at_ms, mark.kind, f"{first} (and {number - 1} more)")
        else:
            kept.append(mark)
            number = 1
    return kept
