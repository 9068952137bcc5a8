"""Lanes and pending: going in and out, reading from both ends, and who holds what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from textual.command import CommandPalette

from observatory.model.cause import CauseNote
from observatory.tui.dialogs.note import NotePrompt
from observatory.tui.dialogs.prompt import Prompt
from observatory.tui.rows.agents import AgentTable
from observatory.tui.rows.causes import CauseList
from observatory.tui.rows.dead_letters import DeadLetterList
from observatory.tui.rows.engine import ClientTable, FindingTable, SlowTable
from observatory.tui.rows.entries import ConsumerTable, EntryTable, GroupTable
from observatory.tui.rows.pending import PendingTable
from observatory.tui.rows.tasks import TaskTable
from observatory.tui.screens.activity import Activity
from observatory.tui.screens.agents import Agents
from observatory.tui.screens.base import TooSmall
from observatory.tui.screens.dead_letters import DeadLetters
from observatory.tui.screens.engine import EngineScreen
from observatory.tui.screens.lanes import AllLanes, Lanes
from observatory.tui.screens.overview import Overview
from observatory.tui.screens.pending import Pending
from observatory.tui.screens.tasks import Tasks
from observatory.tui.widgets.footer import FooterLine
from observatory.tui.widgets.payload import PayloadPane
from observatory.tui.widgets.plot import Plot
from observatory.tui.widgets.status_line import StatusLine
from observatory.tui.widgets.waterfall import Waterfall
from tests.conftest import eventually
from tests.tui import rows, seed
from tests.tui.test_app import SIZE, screen_text, settled, text_of, toasts

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot


async def inside_high(pilot: Pilot[int]) -> EntryTable:
    """Open the lane that has entries."""
    await settled(pilot)
    await pilot.press("2")
    await eventually(lambda: isinstance(pilot.app.screen, Lanes))
    await pilot.press("j", "enter")
    entries = pilot.app.screen.query_one(EntryTable)
    await eventually(lambda: entries.rows and pilot.app.screen.query_one(GroupTable).rows)
    return entries


async def test_enter_goes_in_and_esc_comes_out_the_same_way(tmp_path: Path) -> None:
    """Lane, group, consumer, its pending entries; then back step by step to where it began."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await inside_high(pilot)
        status = app.screen.query_one(StatusLine)
        assert "Lanes ▸ high" in text_of(status)
        app.screen.query_one(GroupTable).focus()
        await pilot.press("j", "enter")
        await settled(pilot)
        assert "Lanes ▸ high ▸ workers" in text_of(status)
        assert app.focused is app.screen.query_one(ConsumerTable)
        await pilot.press("j", "enter")
        await eventually(lambda: isinstance(app.screen, Pending) and app.screen.query_one(PendingTable).rows)
        assert {row.hold.agent for row in app.screen.query_one(PendingTable).rows} == {"iris"}
        assert "Pending ▸ high ▸ workers ▸ iris@node-1" in text_of(app.screen.query_one(StatusLine))
        await pilot.press("escape")
        await eventually(lambda: len(app.screen.query_one(PendingTable).rows) == 60)
        for expected in ("Lanes ▸ high ▸ workers", "Lanes ▸ high  ", "Lanes  "):
            await pilot.press("escape")
            await eventually(lambda expected=expected: expected in text_of(app.screen.query_one(StatusLine)))  # type: ignore[misc]
        await pilot.press("escape", "escape")
        await eventually(lambda: isinstance(app.screen, Overview))


async def test_a_lane_is_browsed_from_both_ends(tmp_path: Path) -> None:
    """Newest first, then oldest first; the payload pane has everything about the entry under the cursor."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        assert [row.task_id for row in entries.rows[:2]] == ["review-pr-540", "review-pr-539"]
        await pilot.press("o")
        await eventually(lambda: entries.rows[0].task_id == "review-pr-500")
        assert "oldest first" in text_of(entries)
        await settled(pilot)
        pane = text_of(app.screen.query_one(PayloadPane))
        assert "held; iris@node-1:4127:7f3a of workers for 36s" in pane
        assert '"repo": "core/api",' in pane


async def test_an_entry_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """What is no task stands in the list with the reason, and the pane has the raw entry."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        await pilot.press(*"jjjjj")
        await settled(pilot)
        assert entries.selected is not None
        assert entries.selected.problem
        pane = text_of(app.screen.query_one(PayloadPane))
        assert "neither a type nor a payload" in pane
        assert '"hello": "world"' in pane


async def test_following_stays_at_the_newest_entry(tmp_path: Path) -> None:
    """With f on, an entry that arrives is under the cursor; with f off the cursor stays on its entry."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        held = entries.selected
        assert held is not None

        async def arrive(number: int) -> None:
            newer = replace(held, key=f"{seed.NOW_MS + number}-0", at_ms=seed.NOW_MS + number)
            source.streams["cortex:tasks:high"] = (newer, *source.streams["cortex:tasks:high"])
            lanes = [replace(lane, length=1000 + number) for lane in seed.lanes()]
            source.push(replace(seed.swarm(), lanes=tuple(lanes), sequence=number))
            await eventually(lambda: newer in entries.rows)
            await settled(pilot)

        await arrive(2)
        assert entries.selected == held
        await pilot.press("f")
        await eventually(lambda: entries.cursor == 0)
        await arrive(3)
        await eventually(lambda: entries.selected is not None and entries.selected.at_ms == seed.NOW_MS + 3)
        assert "following" in text_of(entries)


async def test_goto_takes_a_time(tmp_path: Path) -> None:
    """:goto -30s begins at the entries of that time; what is no time is named."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        entries = await inside_high(pilot)
        await pilot.press("colon", *"goto -30s", "enter")
        await eventually(lambda: entries.selected and entries.selected.at_ms <= seed.NOW_MS - 30_000)
        assert entries.selected is not None
        assert entries.selected.at_ms > seed.NOW_MS - 32_000
        await eventually(lambda: "24 of 41" in text_of(entries))
        await pilot.press("colon", *"goto noon", "enter")
        await eventually(lambda: any("'noon' is not a time" in toast for toast in toasts(app)))


async def test_dead_letters_open_from_the_lanes(tmp_path: Path) -> None:
    """Enter on their line leads to their screen."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await eventually(lambda: isinstance(app.screen, Lanes))
        lanes = app.screen.query_one(AllLanes)
        lanes.jump([row.name for row in lanes.rows].index("dead letters"))
        await pilot.press("enter")
        await eventually(lambda: isinstance(app.screen, DeadLetters))


async def test_pending_is_counted_by_idle_time_and_deliveries(tmp_path: Path) -> None:
    """Both histograms add up to what is pending, and the list says who holds what."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("3")
        await eventually(lambda: isinstance(app.screen, Pending) and app.screen.query_one(PendingTable).rows)
        await settled(pilot)
        for name in ("#idle", "#deliveries"):
            lines = text_of(app.screen.query_one(name)).splitlines()[1:8]
            assert sum(int(line.split()[1]) for line in lines if line.strip()) == 60, name
        first = text_of(app.screen.query_one(PendingTable)).splitlines()[2]
        assert first.split()[:6] == ["2h11m", "3x", "pink", "high", "code_task", "migrate-db-0"]
        assert "✖ body deleted" in screen_text(app)


async def test_stuck_is_not_slow(tmp_path: Path) -> None:
    """An agent that beats and takes longer than its kind of task does is called stuck, with what is usual."""
    pink = next(agent for agent in seed.agents() if agent.name == "pink")
    stuck = replace(pink, stuck=True, typical_s=31.0, task_type="deploy")
    others = tuple(agent for agent in seed.agents() if agent.name != "pink")
    app, _, _ = seed.make_app(replace(seed.swarm(), agents=(*others, stuck)), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("5")
        await eventually(lambda: isinstance(app.screen, Agents) and app.screen.query_one(AgentTable).rows)
        table = app.screen.query_one(AgentTable)
        names = [agent.name for agent in table.rows]
        assert names[:5] == ["red", "finch", "dove", "sable", "pink"]
        await pilot.press(*"jjjj")
        await eventually(lambda: "stuck: it beats, and takes longer" in text_of(app.screen.query_one(PayloadPane)))
        assert "▲ stuck" in text_of(table)
        await eventually(
            lambda: "4 messages, 1 read and not acknowledged" in text_of(app.screen.query_one(PayloadPane))
        )


async def test_the_work_of_an_agent_is_one_key_away(tmp_path: Path) -> None:
    """W on an agent leads to what it holds."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("5")
        await eventually(lambda: isinstance(app.screen, Agents) and app.screen.query_one(AgentTable).rows)
        table = app.screen.query_one(AgentTable)
        table.jump([agent.name for agent in table.rows].index("iris"))
        await pilot.press("w")
        await eventually(lambda: isinstance(app.screen, Pending))
        pending = app.screen.query_one(PendingTable)
        await eventually(lambda: {row.hold.agent for row in pending.rows} == {"iris"})


async def test_a_task_is_traced_through_its_whole_life(tmp_path: Path) -> None:
    """Two retries, a dead letter, a requeue and who had it when; esc comes back to the list, on the same task."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("6")
        await eventually(lambda: isinstance(app.screen, Tasks) and app.screen.query_one(TaskTable).rows)
        await pilot.press("j", "j", "enter")
        fall = app.screen.query_one(Waterfall)
        await eventually(lambda: len(fall.rows) == 11)
        await settled(pilot)
        lines = text_of(fall).splitlines()
        assert [line.split()[0] for line in lines[2:13]] == [
            "waiting", "running", "delayed", "waiting", "running", "delayed", "waiting", "running", "dead", "waiting",
            "running",
        ]  # fmt: skip
        assert "goes on" in lines[12]
        assert "requeued" in lines[10]
        assert all(line.index("━") > lines[3].index("━") for line in lines[4:13] if "━" in line)
        await pilot.press("escape")
        await settled(pilot)
        table = app.screen.query_one(TaskTable)
        assert app.focused is table
        assert table.selected is not None
        assert table.selected.key == rows.TRACED


async def test_t_traces_from_wherever_a_task_is(tmp_path: Path) -> None:
    """From a dead letter, an entry, an event; `:trace ID` too; what nobody knows is said."""
    app, _source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: isinstance(app.screen, DeadLetters) and app.screen.has_selection())
        await pilot.press("t")
        await eventually(lambda: isinstance(app.screen, Tasks) and len(app.screen.query_one(Waterfall).rows) == 11)
        await pilot.press("colon", *"trace nobody-knows", "enter")
        await eventually(lambda: "nothing is known of nobody-knows" in screen_text(app))


async def test_activity_has_what_was_done_by_hand(tmp_path: Path) -> None:
    """The operator's requeue and agents that came and went; no ordinary work."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("8")
        await eventually(lambda: isinstance(app.screen, Activity) and app.screen.table.rows)
        kinds = {event.kind for event in app.screen.table.rows}  # type: ignore[attr-defined]
        assert kinds == {"requeued", "cancelled", "agent_up", "agent_down", "agent_lost"}


async def test_what_endangers_work_is_named_with_its_fix(tmp_path: Path) -> None:
    """Only findings that matter are listed; slow commands and clients stand beside; what may not be asked is said."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    source.report = replace(source.report, clients=None, missing=("+client|list",))
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("9")
        await eventually(lambda: isinstance(app.screen, EngineScreen) and app.screen.query_one(FindingTable).rows)
        await settled(pilot)
        findings = text_of(app.screen.query_one(FindingTable))
        assert "KEYS took 41 ms" in findings
        assert "→ use SCAN instead" in findings
        assert "eviction" not in findings
        assert "KEYS cortex:*" in text_of(app.screen.query_one(SlowTable))
        assert "▲ not allowed to ask: +client|list" in text_of(app.screen.query_one(ClientTable))
        assert "33 MiB (73%), limit 46 MiB" in screen_text(app)


async def test_the_overview_leads_on_from_every_panel(tmp_path: Path) -> None:
    """Enter on a lane opens the lane, on an agent the agent."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("j", "enter")
        await eventually(lambda: isinstance(app.screen, Lanes))
        await eventually(lambda: "Lanes ▸ high" in text_of(app.screen.query_one(StatusLine)))
        await pilot.press("1", "tab", "l", "enter")
        await eventually(lambda: isinstance(app.screen, Agents))
        selected = app.screen.query_one(AgentTable).selected
        assert selected is not None
        assert selected.name == "finch"


@pytest.mark.parametrize("size", [(80, 24), SIZE], ids=str)
async def test_dead_letters_are_grouped_by_what_they_died_of(tmp_path: Path, size: tuple[int, int]) -> None:
    """Different ids and numbers are one cause; enter shows the letters of one, esc all of them again."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: isinstance(app.screen, DeadLetters) and app.screen.has_selection())
        causes = app.screen.query_one(CauseList)
        await eventually(lambda: causes.rows)
        letters = app.screen.query_one(DeadLetterList)
        assert sum(cause.count for cause in causes.rows) == len(letters.rows) == 37
        assert len(causes.rows) < 8
        await pilot.press("o", "enter")
        first = causes.rows[0]
        await eventually(lambda: len(letters.rows) == first.count)
        assert {letter.type for letter in letters.rows} == {first.types[0][0]}
        assert app.focused is letters
        await pilot.press("escape")
        await eventually(lambda: len(letters.rows) == 37)


@pytest.mark.parametrize("key", "12345689")
async def test_help_stays_in_the_footer_of_a_narrow_terminal(tmp_path: Path, key: str) -> None:
    """At 80 columns, and at the 60 that are the least, the key that explains all others is shown on every screen."""
    for columns in (80, 60):
        app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
        async with app.run_test(size=(columns, 24)) as pilot:
            await settled(pilot)
            await pilot.press(key)
            await settled(pilot)
            footer = text_of(app.screen.query_one(FooterLine))
            assert "? Help" in footer
            assert "1-9 Screens" in footer


async def test_a_tiny_terminal_says_how_to_leave_first(tmp_path: Path) -> None:
    """The notice wraps, so that the way out and the size that is needed can be read at 20 columns."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(20, 8)) as pilot:
        await settled(pilot)
        said = text_of(app.screen.query_one(TooSmall)).split("\n")
        assert said[0].startswith("q leaves")
        assert " ".join(said).strip() == "q leaves: 20x8 is too small, 60x16 is needed"


async def test_a_lane_that_the_overview_opened_leads_back_to_it(tmp_path: Path) -> None:
    """Enter on a lane and esc is a round trip; a lane opened from the list of lanes leads back to the list."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await eventually(lambda: isinstance(app.screen, Lanes))
        await settled(pilot)
        assert app.screen.query_one("#stream").display
        await pilot.press("escape")
        await eventually(lambda: isinstance(app.screen, Overview))
        await pilot.press("2", "enter")
        await eventually(lambda: isinstance(app.screen, Lanes) and app.screen.query_one("#stream").display)
        await pilot.press("escape")
        await eventually(lambda: not app.screen.query_one("#stream").display)
        assert isinstance(app.screen, Lanes)


async def test_a_task_is_described_once(tmp_path: Path) -> None:
    """The pane beside the list of tasks names nothing twice, once the entry is read."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("6", "j", "j")
        await eventually(
            lambda: isinstance(app.screen, Tasks) and "entry" in text_of(app.screen.query_one(PayloadPane))
        )
        labels = [row.split()[0] for row in text_of(app.screen.query_one(PayloadPane)).splitlines() if row[1:2].strip()]
        named = [label for label in labels if label in {"task", "state", "reason", "lane", "stream"}]
        assert len(named) == len(set(named))


async def test_the_palette_takes_the_place_of_a_line_that_is_typed_into(tmp_path: Path) -> None:
    """ctrl+p over `:` or `/` closes the line, offers the commands of the screen, and esc leads back to the screen."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for key in ("colon", "slash"):
            await pilot.press(key)
            await eventually(lambda: isinstance(app.screen, Prompt))
            await pilot.press("ctrl+p")
            await eventually(lambda: isinstance(app.screen, CommandPalette))
            assert len(app.screen_stack) == 2
            await pilot.press("escape")
            await eventually(lambda: isinstance(app.screen, Overview))


async def test_without_colours_the_lines_of_a_chart_differ_in_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NO_COLOR the legend shows what each line is drawn with, and the chart is drawn with that."""
    monkeypatch.setenv("NO_COLOR", "1")
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(160, 48)) as pilot:
        await settled(pilot)
        plot = app.screen.query_one("#throughput", Plot)
        await eventually(lambda: "+" in "".join(text_of(plot).splitlines()[1:]))
        legend, *chart = text_of(plot).splitlines()
        assert all(words in legend for words in ("━ new", "+ done", "x failed"))
        assert "x" in "".join(chart)


class Notes:
    """A notebook in memory, as colleagues share it."""

    def __init__(self) -> None:
        self.kept: dict[str, CauseNote] = {}

    async def read(self) -> dict[str, CauseNote]:
        """Return what was written."""
        return dict(self.kept)

    async def write(self, cause: str, text: str, by: str) -> None:
        """Keep a note."""
        self.kept[cause] = CauseNote(text, by, seed.NOW_MS)


async def test_a_cause_is_noted_about_and_letters_are_grouped_by_another_key(tmp_path: Path) -> None:
    """`W` writes a note that stands beside the cause; `b` and `:group-by` sort by another key, and a slip is named."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    notes = Notes()
    app.desk.bus = replace(app.desk.bus, notes=notes)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("4")
        await eventually(lambda: isinstance(app.screen, DeadLetters) and app.screen.query_one(CauseList).rows)
        causes = app.screen.query_one(CauseList)
        causes.focus()
        first = causes.rows[0]
        await pilot.press("W")
        await eventually(lambda: isinstance(app.screen, NotePrompt))
        await pilot.press(*"known", "enter")
        await eventually(lambda: "✎ known (operator)" in text_of(causes))
        assert notes.kept[first.id].text == "known"
        await pilot.press("enter")
        await eventually(lambda: "✎ known" in text_of(app.screen.query_one(DeadLetterList)))
        await pilot.press("escape", "b")
        await eventually(lambda: "by class, message" in text_of(causes))
        await pilot.press("colon", *"group-by", "space", *"type", "enter")
        await eventually(lambda: {row.key[0][0] for row in causes.rows} == {"type"})
        assert len(causes.rows) == len({row.title for row in causes.rows})
        await pilot.press("colon", *"group-by", "space", *"colour", "enter")
        await eventually(lambda: any("colour" in words for words in toasts(app)))


async def test_on_a_small_screen_the_causes_have_all_of_it(tmp_path: Path) -> None:
    """At 80x24 `o` shows every cause that fits below the heading, and the letters again afterwards."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await eventually(lambda: isinstance(app.screen, DeadLetters) and app.screen.query_one(CauseList).rows)
        causes = app.screen.query_one(CauseList)
        await pilot.press("o")
        await eventually(lambda: causes.size.height > len(causes.rows) + 2)
        assert all(row.title[:12] in text_of(causes) for row in causes.rows)
        await pilot.press("o")
        await eventually(lambda: not causes.display or causes.size.height < 8)
