"""The newest facts of the log, newest first."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar

from observatory.model.agent import agent_of
from observatory.model.event import Event
from observatory.model.text import line
from observatory.tui import format as fmt
from observatory.tui import glyphs
from observatory.tui.lines import LineBuilder
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from observatory.model.snapshot import Snapshot


class EventFeed(ListPanel[Event]):
    """One fact a line: when, what, which task, who, and what else is known."""

    title: ClassVar[str] = "Events"

    def show(self, snapshot: Snapshot) -> None:
        """Show the facts of *snapshot*."""
        self.set_rows(snapshot.events)

    def identity(self, row: Event) -> str:
        """A fact is its id in the log."""
        return row.id

    def as_json(self, row: Event) -> str:
        """The fact, as JSON."""
        return json.dumps(dataclasses.asdict(row), default=str, ensure_ascii=True)

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - a short heading
        """Say what part is shown."""
        extent = self.extent if self.has_focus else "newest first"
        return self.title_piece().add(f"  {extent}", self.ink["muted"])

    def draw_row(self, row: Event, width: int) -> LineBuilder:  # noqa: ARG002 - the caller cuts at the width
        """Draw one fact."""
        ink = self.ink
        mark = glyphs.EVENTS.get(row.kind, glyphs.OTHER_EVENT)
        loud = mark.ink.endswith("+")
        builder = LineBuilder().gap(1).add(fmt.clock_time(row.ts_ms), ink["faint"]).gap(1)
        word = mark.word or line(row.kind, 24)
        builder.cell(f"{mark.glyph} {word}", 14, ink[mark.ink])
        if row.type or row.task:
            builder.add(" ").add(line(row.type, 32), ink["text"])
            builder.add(" ").add(line(row.task, 40), ink["muted"])
        if row.agent:
            builder.add(" ").add(line(agent_of(row.agent), 24), ink["text" if loud else "muted"])
        if row.attempt > 1:
            builder.add(f" #{row.attempt}", ink["warning"])
        if row.ms is not None:
            builder.add(f" {fmt.milliseconds(row.ms)}", ink["muted"])
        if row.reason or row.detail:
            said = ": ".join(part for part in (line(row.reason, 24), line(row.detail, 120)) if part)
            builder.add(f" {said}", ink["text" if loud else "muted"])
        return builder

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say when facts appear."""
        return LineBuilder().add(" no events yet", self.ink["muted"])
