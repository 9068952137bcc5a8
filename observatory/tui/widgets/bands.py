"""The bands above the panels: the numbers that matter, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

from observatory.model.agent import AgentState
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.findings import Finding, findings, verdict
from observatory.tui.rows.lane_columns import oldest_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.strip import Strip

    from observatory.model.snapshot import Snapshot

_CELL = 9
"""Cells that one number needs at least."""


class Vital(NamedTuple):
    """One number of the band: what it is, the number, its style, and when to drop it (largest first)."""

    label: str
    value: str
    ink: str
    rank: int


class VitalsBand(Drawn):
    """The swarm in a dozen numbers, the least important dropped where there is no room."""

    DEFAULT_CSS = """
    VitalsBand { height: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._vitals: tuple[Vital, ...] = ()

    def show(self, snapshot: Snapshot) -> None:
        """Show the numbers of *snapshot*."""
        vitals = vitals_of(snapshot)
        if vitals != self._vitals:
            labels_moved = len(vitals) != len(self._vitals)
            self._vitals = vitals
            self.repaint_lines(*((0, 1) if labels_moved else (1,)))

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw the labels or the numbers, each in a column of its own."""
        room = max((width - 1) // _CELL, 1)
        keep = sorted(self._vitals, key=lambda vital: vital.rank)[:room]
        shown = [vital for vital in self._vitals if vital in keep]
        cell = min(max((width - 1) // max(len(shown), 1), _CELL), 14)
        builder = LineBuilder().gap(1)
        for vital in shown:
            if y == 0:
                builder.cell(vital.label, cell, self.ink["muted"])
            else:
                builder.cell(vital.value, cell, self.ink[vital.ink])
        return builder.strip(width)


class FindingsBand(Drawn):
    """A line or two that say what is wrong, or that nothing is."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._findings: tuple[Finding, ...] = ()
        self._verdict = ""

    def show(self, snapshot: Snapshot) -> None:
        """Show what is wrong in *snapshot*."""
        found = findings(snapshot)
        words = "" if found else verdict(snapshot)
        if (found, words) != (self._findings, self._verdict):
            self._findings, self._verdict = found, words
            self.refresh()

    def draw_line(self, y: int, width: int) -> Strip:
        """Draw as many findings as fit into the lines of the band, and how many do not."""
        if not self._findings:
            words = f" ✓ {self._verdict}" if self._verdict and y == 0 else ""
            return LineBuilder().add(words, self.ink["success"]).strip(width)
        rows = self._laid_out(width)
        return rows[y].strip(width) if y < len(rows) else LineBuilder().strip(width)

    def _laid_out(self, width: int) -> list[LineBuilder]:
        """Put the findings behind each other, a new line where the next does not fit and there is one."""
        ink, rows = self.ink, [LineBuilder().gap(1)]
        for index, finding in enumerate(self._findings):
            left = len(self._findings) - index
            last = len(rows) >= self.size.height
            reserve = len(f"+{left} more") + 1 if last and left > 1 else 0
            length = cell_len(finding.subject) + cell_len(finding.words) + 3
            if rows[-1].width > 1 and rows[-1].width + length + reserve > width:
                if last:
                    rows[-1].add(f"+{left} more", ink["muted"])
                    break
                rows.append(LineBuilder().gap(1))
            strong = ink["error+" if finding.urgency <= 1 else "warning+"]
            rows[-1].add("✖ " if finding.urgency <= 1 else "▲ ", strong).add(finding.subject, strong)
            rows[-1].add(f" {finding.words}", ink["text"]).gap(3)
        return rows


def vitals_of(snapshot: Snapshot) -> tuple[Vital, ...]:
    """Choose and colour the numbers of the band."""
    lanes, letters, flow = snapshot.lanes, snapshot.dead_letters, snapshot.flow
    known = bool(snapshot.at_ms)
    states = [agent.state for agent in snapshot.agents]
    alive = sum(state is AgentState.ALIVE for state in states)
    expected = sum(state is not AgentState.LEFT for state in states)
    oldest = max((age for age in map(oldest_s, lanes) if age is not None), default=None)
    agents = f"{alive} of {expected}" if known else fmt.UNKNOWN
    return (
        Vital("backlog", _total(known, [lane.backlog for lane in lanes], _whole), "strong", 0),
        Vital("in/s", _total(known, [lane.in_rate for lane in lanes], fmt.rate), "strong", 1),
        Vital("out/s", _total(known, [lane.out_rate for lane in lanes], fmt.rate), "strong", 2),
        Vital("in hand", _total(known, [lane.pending for lane in lanes], _whole), "strong", 5),
        Vital("oldest", fmt.age(oldest) if known else fmt.UNKNOWN, "strong", 6),
        Vital("delayed", fmt.count(snapshot.delayed if known else None), "strong", 7),
        Vital("dead", fmt.count(letters.total if known else None), "error+" if letters.total else "strong", 3),
        Vital("agents", agents, "strong" if alive == expected else "warning+", 4),
        Vital("wait p95", fmt.milliseconds(flow.wait.p95), "strong", 8),
        Vital("run p95", fmt.milliseconds(flow.run.p95), "strong", 9),
        Vital("memory", fmt.size(snapshot.engine.memory), "text", 10),
        Vital("engine/s", fmt.count(snapshot.engine.ops_per_s), "text", 11),
    )


def _total(known: bool, parts: Sequence[float | None], write: Callable[[float], str]) -> str:
    """Add up what the lanes say, once there is anything to add up."""
    return fmt.partial_sum(parts, write) if known else fmt.UNKNOWN


def _whole(value: float) -> str:
    return fmt.count(round(value))
