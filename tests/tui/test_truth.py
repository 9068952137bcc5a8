"""What stands on the Overview is what the engine itself says, asked by somebody else at the same moment."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

from observatory.actions import BusActions
from observatory.live import LiveSource
from observatory.tui.app import ObservatoryApp
from observatory.tui.desk import OpenBus
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.events import EventFeed
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.widgets.agent_grid import AgentGrid
from observatory.tui.widgets.bands import VitalsBand
from observatory.tui.widgets.reasons import ReasonBars
from tests.conftest import eventually
from tests.tui.seed import themes_without_user

if TYPE_CHECKING:
    from pathlib import Path

    import redis
    from textual.widget import Widget

    from observatory.bus import Bus

LANES = (  # stream, entries, group, taken, settled
    ("cortex:tasks:high", 12, "agents", 7, 2),
    ("cortex:tasks:normal", 3, "", 0, 0),
    ("cortex:tasks:low", 6, "audit", 6, 6),
    ("cortex:tasks:quarry:critical", 5, "crew", 2, 0),
)
NUMBERS = re.compile(r"[●○▲✖◷] (?:no consumers|\w+) +(\S+) +(\S+) +(\S+)")


def foreign_swarm(plain: redis.Redis) -> None:
    """Do what an agent in any language does: add fields in any order, read in a group, settle some, beat."""

    def add(stream: str, **fields: str) -> None:
        names = random.sample(sorted(fields), len(fields))
        plain.xadd(stream, {name: fields[name] for name in names})

    for stream, entries, group, taken, settled in LANES:
        for number in range(entries):
            add(
                stream,
                id=f"{stream}-{number}",
                type="dig",
                payload="{}",
                priority="low",
                ttl="3600",
                **{"from": "walker"},
            )
        if group:
            plain.xgroup_create(stream, group, id="0")
            rows: Any = plain.xreadgroup(group, "walker", {stream: ">"}, count=taken)
            for entry, _ in rows[0][1][:settled]:
                plain.xack(stream, group, entry)
    for reason in ("error", "error", "stale", "malformed", "error"):
        add("cortex:tasks:dlq", type="dig", payload="{}", reason=reason, last_error="it broke")
    add("cortex:heartbeats", agent="walker", status="busy", task="quarry-7", interval="5")


def lines_of(widget: Widget) -> list[str]:
    """Return what *widget* shows, line by line."""
    return [widget.render_line(y).text for y in range(widget.size.height)]


def expected_lane(plain: redis.Redis, stream: str) -> tuple[str, str, str]:
    """Return backlog, lag and pending by XLEN, XINFO GROUPS and XPENDING."""
    groups: Any = plain.xinfo_groups(stream) if plain.exists(stream) else []
    if not groups:
        return str(plain.xlen(stream)), fmt.NONE, "0"
    pending = [int(plain.xpending(stream, group["name"])["pending"]) for group in groups]
    lags = [int(group["lag"]) for group in groups]
    backlog = max(lag + held for lag, held in zip(lags, pending, strict=True))
    return str(backlog), str(max(lags)), str(sum(pending))


async def test_every_number_of_the_overview_is_the_engines(bus: Bus, plain: redis.Redis, tmp_path: Path) -> None:
    """Lanes, totals, delayed, dead letters by reason and what an unknown agent holds, of plain `redis-py` and ours."""
    opened = OpenBus("test", LiveSource(bus, refresh_s=0.25), BusActions(bus), refresh_s=0.25)
    app = ObservatoryApp(
        opened, themes=themes_without_user(tmp_path), theme="observatory-dark", state_dir=tmp_path,
    )  # fmt: skip
    async with app.run_test(size=(160, 48)) as pilot:
        await eventually(lambda: app.desk.shown.at_ms)
        foreign_swarm(plain)
        for number in range(2):
            await bus.publish("later", {"n": number}, delay=3600)
        sequence = app.desk.shown.sequence
        await eventually(lambda: app.desk.shown.sequence > sequence + 1)
        await pilot.pause()
        table = app.screen.query_one(LaneTable)
        shown = dict(zip((row.name for row in table.rows), lines_of(table)[table.head :], strict=False))
        expected = {stream: expected_lane(plain, stream) for stream, *_ in LANES}
        found = {stream: NUMBERS.search(shown[stream]) for stream in expected}
        assert {stream: match and match.groups() for stream, match in found.items()} == expected
        labels, values = lines_of(app.screen.query_one(VitalsBand))
        vitals = {
            label: values[labels.index(label) :].split()[0] for label in ("backlog", "in hand", "delayed", "dead")
        }
        assert vitals == {
            "backlog": str(sum(int(backlog) for backlog, _, _ in expected.values())),
            "in hand": str(sum(int(held) for _, _, held in expected.values())),
            "delayed": str(plain.zcard("cortex:tasks:delayed")),
            "dead": str(plain.xlen("cortex:tasks:dlq")),
        }
        assert [tuple(line.split()[:2]) for line in lines_of(app.screen.query_one(ReasonBars))[1:4]] == [
            ("error", "3"), ("malformed", "1"), ("stale", "1"),
        ]  # fmt: skip
        (agent,) = [line for line in lines_of(app.screen.query_one(AgentGrid)) if "walker" in line]
        assert "quarry-7" in agent
        assert f"holds {vitals['in hand']}" in agent
        assert any("scheduled" in line for line in lines_of(app.screen.query_one(EventFeed)))
