"""Screen 1: is the swarm healthy, and if not, where?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical

from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.alerts import AlertPanel
from observatory.tui.rows.events import EventFeed
from observatory.tui.rows.lane_columns import DEAD
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.screens.alerting import AlertingScreen
from observatory.tui.screens.base import Step
from observatory.tui.widgets.agent_grid import AgentGrid
from observatory.tui.widgets.bands import FindingsBand, VitalsBand
from observatory.tui.widgets.plot import Plot, Series
from observatory.tui.widgets.reasons import ReasonBars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.snapshot import Flow, Quantiles, Snapshot
    from observatory.tui.widgets.list_panel import ListPanel

_SMALL = 32
_LANES, _LANES_SMALL, _AGENTS, _AGENTS_SMALL = 0.36, 0.46, 0.25, 0.18
"""Shares of the screen's height that lanes and agents may take, on a screen of many lines and of few."""

_ALERTS = 6
"""Lines that the alerts may take, heading included."""

_REASONS = 7
"""Lines that the reasons may take, heading included."""


class Overview(AlertingScreen):
    """Vitals, findings, lanes, agents, alerts, dead letters by reason, two charts and the event feed."""

    heading: ClassVar[str] = "Overview"
    AUTO_FOCUS: ClassVar[str | None] = "#lanes"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("tracing", "alerts")]

    def body(self) -> ComposeResult:
        """Compose the panels; the style sheet decides which of them a small terminal shows."""
        tick_s, clock = self.desk.refresh_s, self.desk.clock
        yield VitalsBand(id="vitals")
        yield FindingsBand(id="findings")
        yield LaneTable(id="lanes")
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                yield AgentGrid(id="agents")
                with Horizontal(id="plots"):
                    yield Plot("Tasks/s", fmt.rate, clock, tick_s=tick_s, id="throughput")
                    yield Plot("Latency p95", fmt.milliseconds, clock, tick_s=tick_s, id="latency")
            with Vertical(id="right"):
                yield AlertPanel(clock, id="alerts")
                yield ReasonBars(id="reasons")
                yield EventFeed(id="events")

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Repaint all numbers at once, so that they agree with each other; then the feed, then the charts."""
        return (
            Step(partial(self._show_numbers, snapshot)),
            Step(partial(self.query_one(EventFeed).show, snapshot)),
            Step(self.query_one("#throughput", Plot).draw),
            Step(self.query_one("#latency", Plot).draw),
        )

    def on_list_panel_opened(self, event: ListPanel.Opened) -> None:
        """Open what is under the cursor: a lane, an agent, the life of a task, the dead letters."""
        panel = event.panel
        if isinstance(panel, ReasonBars):
            self.action_show_screen("dead-letters")
        elif isinstance(panel, AlertPanel):
            self.action_show_screen("activity")
        elif isinstance(panel, LaneTable) and (row := panel.selected) is not None:
            if row.name == DEAD:
                self.action_show_screen("dead-letters")
            else:
                self.go("lanes", row.name)
        elif isinstance(panel, AgentGrid) and panel.selected is not None:
            self.go("agents", panel.selected.name)
        elif isinstance(panel, EventFeed) and self.traced():
            self.action_trace()

    def traced(self) -> str:
        """The task of the agent or the event under the cursor."""
        panel = self.focused
        if isinstance(panel, AgentGrid | EventFeed) and (row := panel.selected) is not None:
            return row.task
        return ""

    def on_resize(self) -> None:
        """Give the panels the lines they need at the new size."""
        self._show_numbers(self.desk.shown)

    def _show_numbers(self, snapshot: Snapshot) -> None:
        self.query_one(VitalsBand).show(snapshot)
        self.query_one(FindingsBand).show(snapshot)
        table, reasons = self.query_one(LaneTable), self.query_one(ReasonBars)
        share = _LANES_SMALL if self.size.height < _SMALL else _LANES
        most = max(round(self.size.height * share), 7)
        table.show(snapshot, most - 1)
        _fit(table, most)
        reasons.show(snapshot)
        _fit(reasons, _REASONS)
        alerts = self.query_one(AlertPanel)
        alerts.show(snapshot, ())
        _fit(alerts, _ALERTS)
        self._show_agents(snapshot)
        self._say_throughput(snapshot.flow)
        self._say_latency(snapshot.flow)

    def _show_agents(self, snapshot: Snapshot) -> None:
        grid = self.query_one(AgentGrid)
        grid.show(snapshot)
        share = _AGENTS_SMALL if self.size.height < _SMALL else _AGENTS
        _fit(grid, max(round(self.size.height * share), 3))

    def _say_throughput(self, flow: Flow) -> None:
        self.query_one("#throughput", Plot).say(
            (
                Series("new", "plot-1", flow.published, fmt.rate(_newest(flow.published))),
                Series("done", "plot-2", flow.completed, fmt.rate(_newest(flow.completed))),
                Series("failed", "error", flow.failed, fmt.rate(_newest(flow.failed))),
            )
        )

    def _say_latency(self, flow: Flow) -> None:
        self.query_one("#latency", Plot).say(
            (
                Series("wait", "plot-3", flow.wait_p95, fmt.milliseconds(flow.wait.p95)),
                Series("run", "plot-2", flow.run_p95, fmt.milliseconds(flow.run.p95)),
            ),
            (_quantiles("wait", flow.wait), _quantiles("run ", flow.run)),
        )


def _fit(panel: ListPanel[Any], most: int) -> None:
    """Let *panel* be as high as its rows need, up to *most* lines; the rest scrolls."""
    height = min(max(panel.lines, 1) + panel.head, most)
    if panel.styles.height is None or panel.styles.height.value != height:
        panel.styles.height = height


def _newest(values: tuple[float, ...]) -> float | None:
    return values[-1] if values else None


def _quantiles(word: str, quantiles: Quantiles) -> tuple[str, ...]:
    """Return the percentiles with the number of samples, because three samples are no percentile."""
    if not quantiles.samples:
        return (word, "no samples")
    p50, p95, p99 = (fmt.milliseconds(value).rjust(6) for value in (quantiles.p50, quantiles.p95, quantiles.p99))
    return (word, f"p50{p50}", f"p95{p95}", f"p99{p99}", f"n {fmt.count(quantiles.samples)}")
