"""What happens when keys are pressed and when snapshots arrive."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from textual import events
from textual.widgets import Input, Label

from observatory.model.clock import ManualClock
from observatory.model.errors import BusError, BusUnreachableError, SettingsError
from observatory.model.plan import RequeueDeadLetters, Selector, SendTask
from observatory.model.snapshot import LaneState, LinkState, LinkView, Origin, Snapshot
from observatory.model.task import Priority
from observatory.tui.acting.review import Review
from observatory.tui.dialogs.send import SendForm
from observatory.tui.drawing.drawn import Drawn
from observatory.tui.rows.dead_letters import DeadLetterList
from observatory.tui.rows.events import EventFeed
from observatory.tui.rows.lanes import LaneTable
from observatory.tui.screens.dead_letters import DeadLetters
from observatory.tui.screens.overview import Overview
from observatory.tui.table.pages import PAGE
from observatory.tui.widgets.agent_grid import AgentGrid
from observatory.tui.widgets.footer import FooterLine
from observatory.tui.widgets.payload import PayloadPane
from observatory.tui.widgets.status_line import StatusLine
from tests.conftest import eventually
from tests.tui import seed

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import App
    from textual.pilot import Pilot
    from textual.widget import Widget

SIZE = (160, 48)


def text_of(widget: Widget) -> str:
    """Return what *widget* shows, line by line."""
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


def screen_text(app: App[int]) -> str:
    """Return everything that the panels of the screen show."""
    return "\n".join(text_of(drawn) for drawn in app.screen.query(Drawn))


def toasts(app: App[int]) -> list[str]:
    """Return the words of all toasts."""
    return [str(toast.message) for toast in app._notifications]


async def settled(pilot: Pilot[int]) -> None:
    """Wait until what was pressed or pushed has been handled."""
    await pilot.pause()
    await pilot.pause()


async def test_every_number_of_a_lane_is_on_the_overview(tmp_path: Path) -> None:
    """Backlog, lag, pending, ages and rates stand in a lane's line, a lag that only follows from the backlog too."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        lines = text_of(app.screen.query_one(LaneTable)).splitlines()
        high = next(line for line in lines if "high" in line)
        assert high.split()[:9] == ["▎high", "●", "ok", "41", "33", "8", "22s", "12.4", "11.0"]
        assert next(line for line in lines if "low" in line).split()[3:6] == ["1,804", "1,798", "6"]
        assert next(line for line in lines if "legacy" in line).split()[3:9] == ["broken", "?", "?", "?", "?", "?"]
        assert "no consumers" in next(line for line in lines if "deploy" in line)


async def test_a_lane_that_had_work_keeps_its_line(tmp_path: Path) -> None:
    """Where many lanes take turns in being busy, no line that is shown goes away or changes its place."""
    busy = [replace(seed.swarm().lanes[0], queue=f"@{number}", stream=f"@{number}") for number in range(40)]
    idle = [replace(lane, state=LaneState.IDLE, backlog=0, pending=0) for lane in busy]
    app, source, _ = seed.make_app(None, folder=tmp_path)
    shown: list[list[str]] = []
    async with app.run_test(size=(80, 24)) as pilot:
        for second in range(1, 13):
            lanes = (*idle[:second], busy[second], *idle[second + 1 :])
            source.push(replace(seed.swarm(), lanes=lanes, at_ms=seed.NOW_MS + second * 1000, sequence=second))
            await settled(pilot)
            shown.append([row.name for row in app.screen.query_one(LaneTable).rows])
    had_work = {f"@{number}" for number in range(1, 13)}
    for before, after in pairwise(shown):
        assert [name for name in before if name in had_work & set(after)] == [
            name for name in after if name in had_work & set(before)
        ]
    assert had_work <= set(shown[-1])


async def test_trouble_stands_first_among_the_agents(tmp_path: Path) -> None:
    """Dead, stale and late agents come before the rest, each with glyph and word."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        grid = app.screen.query_one(AgentGrid)
        assert [agent.name for agent in grid.rows[:4]] == ["red", "finch", "dove", "sable"]
        assert "✖ red" in text_of(grid)
        assert "dead 2m20s" in text_of(grid)


async def test_nothing_repaints_when_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An equal snapshot draws not a single line; one changed lane draws its own line and the sum of all."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        drawn: list[tuple[str, int]] = []
        original = Drawn.render_line

        def spy(self: Drawn, y: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
            drawn.append((type(self).__name__, y))
            return original(self, y)

        monkeypatch.setattr(Drawn, "render_line", spy)
        source.push(replace(seed.swarm(), sequence=2))
        await eventually(lambda: app.desk.shown.sequence == 2)
        await settled(pilot)
        assert drawn == []
        lanes = seed.lanes()
        changed = (replace(lanes[0], out_rate=2.05), *lanes[1:])
        source.push(replace(seed.swarm(), lanes=changed, sequence=3))
        await eventually(lambda: app.desk.shown.sequence == 3)
        await settled(pilot)
        assert {at for at in drawn if at[0] == "LaneTable"} == {("LaneTable", 1)}
        assert {name for name, _ in drawn} <= {"LaneTable", "VitalsBand"}


async def test_of_many_snapshots_that_wait_only_the_newest_is_painted(tmp_path: Path) -> None:
    """A source that is faster than the screen does not queue work up."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        for sequence in range(2, 200):
            source.push(replace(seed.swarm(), sequence=sequence))
        await eventually(lambda: app.desk.shown.sequence == 199)


async def test_a_frozen_screen_keeps_listening(tmp_path: Path) -> None:
    """`p` says FROZEN and holds the numbers; `p` again shows the newest at once."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("p")
        assert "⏸ FROZEN 14:45:03" in text_of(app.screen.query_one(StatusLine))
        source.push(replace(seed.swarm(), delayed=4_711, sequence=2))
        await eventually(lambda: app.desk.latest.sequence == 2)
        await settled(pilot)
        assert "4,711" not in screen_text(app)
        await pilot.press("p")
        await settled(pilot)
        assert "4,711" in screen_text(app)
        assert "● LIVE" in screen_text(app)


async def test_what_is_read_while_frozen_is_not_shown_as_of_the_frozen_moment(tmp_path: Path) -> None:
    """A list that is opened on a frozen screen says when it was read; the frozen numbers keep their own time."""
    clock = ManualClock(seed.NOW_MS)
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("p")
        clock.advance(3)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        await settled(pilot)
        status = app.screen.query_one(StatusLine)
        assert "⏸ FROZEN 14:45:03, lists read 14:45:06" in text_of(status)
        await pilot.press("p")
        await settled(pilot)
        assert "lists read" not in text_of(status)
        await pilot.press("1")
        await settled(pilot)
        await pilot.press("p")
        assert "lists read" not in text_of(app.screen.query_one(StatusLine))


async def test_a_lost_link_is_spelled_out_and_takes_sending_away(tmp_path: Path) -> None:
    """The status line says for how long and how old the data is; `s` says why it does nothing."""
    app, _, _ = seed.make_app(seed.link_down(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "⚠ LINK DOWN 12s — last data 14:44:50 — connection refused" in text_of(app.screen.query_one(StatusLine))
        assert "Lanes old" in screen_text(app)
        await pilot.press("s")
        await settled(pilot)
        assert isinstance(app.screen, Overview)
        assert any("not reachable" in toast for toast in toasts(app))


async def test_a_source_that_falls_silent_is_not_shown_as_live(tmp_path: Path) -> None:
    """Without any snapshot for a while the line says NO DATA, whatever the last one said."""
    clock = ManualClock(seed.NOW_MS)
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        clock.advance(9)
        app.screen.query_one(StatusLine).look()
        await settled(pilot)
        assert "⚠ NO DATA 9s — last data 14:45:03" in text_of(app.screen.query_one(StatusLine))


@pytest.mark.parametrize("how", ["read-only", "replay"])
async def test_read_only_and_replay_take_the_same_keys_away(tmp_path: Path, how: str) -> None:
    """Neither sends nor requeues; both say why."""
    past = replace(seed.swarm(), origin=Origin.REPLAY)
    data = past if how == "replay" else seed.swarm()
    app, _, actions = seed.make_app(data, folder=tmp_path, read_only=how == "read-only")
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s", "4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        await pilot.press("R")
        await settled(pilot)
        assert isinstance(app.screen, DeadLetters)
        assert actions.requests == []
        reason = "read-only" if how == "read-only" else "this is the past"
        assert [reason in toast for toast in toasts(app)] == [True, True]


async def test_the_cursor_stays_on_its_event_while_new_ones_arrive(tmp_path: Path) -> None:
    """With the focus in the feed, what is under the cursor does not slide away."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        feed = app.screen.query_one(EventFeed)
        feed.focus()
        await pilot.press("j", "j")
        held = feed.selected
        newer = tuple(replace(event, id=f"9{event.id}") for event in seed.events()[:3])
        source.push(replace(seed.swarm(), events=(*newer, *seed.events()), sequence=2))
        await eventually(lambda: app.desk.shown.sequence == 2)
        await settled(pilot)
        assert feed.selected == held
        assert feed.cursor == 5


async def test_keys_move_as_fingers_expect(tmp_path: Path) -> None:
    """J k g G and pages, with ends that hold."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        table = app.screen.query_one(LaneTable)
        for key, expected in (("j", 1), ("down", 2), ("k", 1), ("G", 10), ("j", 10), ("g", 0), ("k", 0)):
            await pilot.press(key)
            assert table.cursor == expected, key
        await pilot.press("ctrl+d")
        assert table.cursor == 5
        await pilot.press("ctrl+f", "ctrl+u")
        assert table.cursor == 5


async def test_tab_walks_the_panels_and_m_gives_one_the_screen(tmp_path: Path) -> None:
    """M maximises the focused panel between status line and footer; m, esc and q give it back."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("tab")
        assert isinstance(app.focused, AgentGrid)
        for back in ("m", "escape", "q"):
            await pilot.press("m")
            await settled(pilot)
            assert app.screen.maximized is app.focused
            assert app.focused is not None
            assert app.focused.region == (0, 1, SIZE[0], SIZE[1] - 2)
            assert app.screen.query_one(StatusLine).region.y == 0
            assert app.screen.query_one(FooterLine).region.bottom == SIZE[1]
            await pilot.press(back)
            await settled(pilot)
            assert app.screen.maximized is None


async def test_going_back_ends_with_leaving(tmp_path: Path) -> None:
    """Q returns to the view before; on the first one it quits with 0; esc never quits."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "q Quit" in text_of(app.screen.query_one(FooterLine))
        await pilot.press("4")
        await settled(pilot)
        assert isinstance(app.screen, DeadLetters)
        assert "q Back" in text_of(app.screen.query_one(FooterLine))
        await pilot.press("q")
        await settled(pilot)
        assert isinstance(app.screen, Overview)
        assert "q Quit" in text_of(app.screen.query_one(FooterLine))
        await pilot.press("escape")
        await settled(pilot)
        assert app.is_running
        await pilot.press("q")
    assert app.return_code == 0


async def test_the_screen_of_a_bus_is_remembered(tmp_path: Path) -> None:
    """What was shown last on a bus is shown first the next time; going back from there leads to the overview."""
    memory = tmp_path / "memory.json"
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, memory=memory)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: isinstance(app.screen, DeadLetters))
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path, memory=memory)
    async with app.run_test(size=SIZE) as pilot:
        await eventually(lambda: isinstance(app.screen, DeadLetters))
        await pilot.press("q")
        await eventually(lambda: isinstance(app.screen, Overview))


async def test_copying_reaches_the_terminal(tmp_path: Path) -> None:
    """C copies the stream key, y the whole row as JSON."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await settled(pilot)
        assert app.clipboard == "cortex:tasks:critical"
        await pilot.press("y")
        await settled(pilot)
        assert json.loads(app.clipboard)["backlog"] == 3


async def test_requeue_of_one_needs_no_dialog(tmp_path: Path) -> None:
    """R plans and runs for the dead letter under the cursor; a toast has the report; the list is read again."""
    app, source, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        await pilot.press("j")
        letters = app.screen.query_one(DeadLetterList)
        assert letters.selected is not None
        wanted, reads = letters.selected.entry_id, source.reads
        await pilot.press("R")
        await eventually(lambda: actions.executed)
        assert actions.requests == [RequeueDeadLetters(Selector((wanted,)))]
        await eventually(lambda: source.reads > reads)
        assert any("requeue: 1 of 1 done → cortex:tasks:deploy:high" in toast for toast in toasts(app))


async def test_the_cursor_sticks_to_its_dead_letter(tmp_path: Path) -> None:
    """When newer ones arrive above and others go, the cursor and the payload stay; a refresh never jumps."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        letters = app.screen.query_one(DeadLetterList)
        await pilot.press("j", "j", "j")
        held = letters.selected
        assert held is not None
        newer = replace(held, entry_id=f"{seed.NOW_MS}-9")
        source.letters = (newer, source.letters[0], *source.letters[2:])
        reads = source.reads
        await pilot.press("r")
        await eventually(lambda: source.reads > reads and letters.rows[0] == newer)
        assert letters.selected == held
        assert letters.cursor == 3


async def test_a_payload_that_is_read_stays_and_can_be_copied(tmp_path: Path) -> None:
    """With the focus in the payload, newer dead letters do not replace it; y copies it and R means this one."""
    app, source, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        letters = app.screen.query_one(DeadLetterList)
        await pilot.press("j", "j", "enter")
        await settled(pilot)
        held = letters.selected
        assert held is not None
        assert isinstance(app.focused, PayloadPane)
        source.letters = (replace(held, entry_id=f"{seed.NOW_MS}-9"), *source.letters)
        await pilot.press("r")
        await eventually(lambda: len(letters.rows) == len(source.letters))
        assert letters.selected == held
        assert held.entry_id in text_of(app.focused)
        await pilot.press("y")
        await settled(pilot)
        assert json.loads(app.clipboard)["entry_id"] == held.entry_id
        await pilot.press("R")
        await eventually(lambda: actions.executed)
        assert actions.requests == [RequeueDeadLetters(Selector((held.entry_id,)))]


async def test_the_list_reads_on_before_its_end(tmp_path: Path) -> None:
    """More dead letters than a page: going down loads the next page, and going on reaches the last one."""
    many = seed.dead_letters(2 * PAGE + 20)
    app, _, _ = seed.make_app(seed.swarm(), letters=many, folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        letters = app.screen.query_one(DeadLetterList)
        assert len(letters.rows) == PAGE
        for _page in range(40):
            await pilot.press("ctrl+f")
            await settled(pilot)
            if letters.selected == many[-1]:
                break
        assert letters.selected == many[-1]
        assert f"{len(many)} of {len(many)}" in text_of(letters)


async def test_a_list_that_cannot_be_read_names_the_key_to_press(tmp_path: Path) -> None:
    """The error stands where the rows would be; r tries again."""
    app, source, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    source.error = BusError("WRONGTYPE: cortex:tasks:dlq is no stream")
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: "is no stream (r reads again)" in screen_text(app))
        source.error = None
        await pilot.press("r")
        await eventually(lambda: app.screen.query_one(DeadLetterList).rows)


async def test_no_dead_letters_is_good_news(tmp_path: Path) -> None:
    """An empty list says so in words."""
    app, _, _ = seed.make_app(seed.healthy(), letters=(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: "✓ no dead letters" in screen_text(app))


async def test_payloads_are_shown_as_what_they_are(tmp_path: Path) -> None:
    """JSON is laid out, text stays text, bytes become a hex dump."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        pane = app.screen.query_one(PayloadPane)
        assert '  "service": "api",' in text_of(pane)
        await pilot.press("j", "j")
        await settled(pilot)
        assert "Keep it under ten lines." in text_of(pane)
        await pilot.press("j", "j")
        await settled(pilot)
        assert "000000  00 01 02 03" in text_of(pane)


async def test_urgent_by_hand_in_five_keystrokes(tmp_path: Path) -> None:
    """s, the type, tab, the agent, F1, enter: four keys besides text put a critical task into an agent's lane."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s", *"halt", "tab", "@", *"pink", "f1", "enter")
        await eventually(lambda: actions.executed)
        (request,) = actions.requests
        assert isinstance(request, SendTask)
        assert (request.task.type, request.task.queue, request.task.priority) == ("halt", "@pink", Priority.CRITICAL)
        await eventually(lambda: isinstance(app.screen, Overview))
        assert any("send: 1 of 1 done" in toast for toast in toasts(app))


async def test_a_burst_of_keys_lands_in_the_right_fields(tmp_path: Path) -> None:
    """What follows a tab belongs into the next field, however fast the keys come."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await settled(pilot)
        for key in (*"halt", "tab", "@", *"pink"):
            app.post_message(events.Key(key, None if key == "tab" else key))
        await settled(pilot)
        await eventually(lambda: app.screen.query_one("#to", Input).value == "@pink")
        assert app.screen.query_one("#type", Input).value == "halt"


async def test_a_wrong_field_is_named_and_gets_the_cursor(tmp_path: Path) -> None:
    """Nothing is sent; the line below names the field; the cursor is in it."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s", *"halt", "tab", *"no_such queue!", "enter")
        await settled(pilot)
        assert isinstance(app.screen, SendForm)
        assert "to: 'no_such queue!' is no queue" in screen_text(app)
        assert app.focused is not None
        assert app.focused.id == "to"
        assert actions.requests == []


async def test_a_send_that_fails_keeps_what_was_typed(tmp_path: Path) -> None:
    """The form stays open with the error, and sending again keeps the id, so that nothing is published twice."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    actions.error = BusUnreachableError("bus.internal:6379 does not answer")
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s", *"halt", "enter")
        await eventually(lambda: "not sent: bus.internal:6379 does not answer" in screen_text(app))
        actions.error = None
        await pilot.press("ctrl+s")
        await eventually(lambda: actions.executed)
        first, second = actions.requests
        assert isinstance(first, SendTask)
        assert isinstance(second, SendTask)
        assert first.task.id == second.task.id


async def test_queues_and_agents_complete_from_what_is_live(tmp_path: Path) -> None:
    """Typing `@p` offers the agent that is there."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s", "tab", "@", "p")
        field = app.screen.query_one("#to", Input)
        await eventually(lambda: field._suggestion == "@pink")
        await pilot.press("right")
        assert field.value == "@pink"


async def test_commands_run_by_name(tmp_path: Path) -> None:
    """`:dead` opens the screen, a unique beginning is enough, an unknown name is named."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("colon", *"nonsense", "enter")
        await settled(pilot)
        assert "nonsense: no command is called so" in screen_text(app)
        await pilot.press("escape", "colon", *"dea", "enter")
        await eventually(lambda: isinstance(app.screen, DeadLetters))
        await pilot.press("colon", *"overview", "enter")
        await eventually(lambda: isinstance(app.screen, Overview))


async def test_a_theme_is_tried_while_highlighted_and_kept_when_chosen(tmp_path: Path) -> None:
    """Moving in the list shows each theme; esc gives the old one back; enter keeps the new one."""
    chosen: list[str] = []
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    app._on_theme_chosen = chosen.append
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("colon", *"theme", "enter")
        await eventually(lambda: len(app.screen_stack) == 2)
        await pilot.press("down")
        await eventually(lambda: app.theme != "observatory-dark")
        await pilot.press("escape")
        await eventually(lambda: app.theme == "observatory-dark")
        assert chosen == []
        await pilot.press("colon", *"theme observatory-light", "enter")
        await eventually(lambda: chosen == ["observatory-light"])
        assert app.theme == "observatory-light"


def test_an_unknown_theme_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    """The app refuses to start with a theme that is not there."""
    with pytest.raises(SettingsError, match="observatory-drak"):
        seed.make_app(None, theme="observatory-drak", folder=tmp_path)


async def test_the_palette_runs_what_is_found(tmp_path: Path) -> None:
    """ctrl+p, a few letters, enter."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p", *"freeze")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await eventually(lambda: app.desk.frozen)


@pytest.mark.parametrize("size", [(20, 5), (60, 16), (61, 17), (80, 24), (100, 30), (139, 41), (240, 70)], ids=str)
async def test_every_size_is_drawn_without_a_cell_too_much(tmp_path: Path, size: tuple[int, int]) -> None:
    """Whatever the terminal's size, every line of every panel has exactly its width."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=size) as pilot:
        for key in ("1", "4"):
            await pilot.press(key)
            await settled(pilot)
            for widget in app.screen.query(Drawn):
                for y in range(widget.size.height):
                    assert widget.render_line(y).cell_length == widget.size.width, widget


async def test_a_link_that_degrades_says_why(tmp_path: Path) -> None:
    """Degraded is live, with the reason."""
    link = LinkView(LinkState.DEGRADED, seed.NOW_MS, "INFO is forbidden", data_ms=seed.NOW_MS)
    data: Snapshot = replace(seed.swarm(), link=link)
    app, _, _ = seed.make_app(data, folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "▲ LIVE, DEGRADED — INFO is forbidden" in screen_text(app)


@pytest.mark.parametrize("agree", [True, False])
async def test_requeue_concerns_what_is_marked_and_asks_before_several(tmp_path: Path, agree: bool) -> None:
    """Three marks are asked about with number and lanes, cancel comes first, and the row under the cursor stays."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        table = app.screen.query_one(DeadLetterList)
        await pilot.press("space", "space", "space", "R")
        await eventually(lambda: isinstance(app.screen, Review))
        asked = "\n".join(str(label.content) for label in app.screen.query(Label))
        assert "Requeue 3 dead letters on demo?" in asked
        assert "2 → cortex:tasks:deploy:high" in asked
        assert "1 → cortex:tasks:normal" in asked
        assert actions.executed == []
        await pilot.press(*(["right"] if agree else []), "enter")
        await eventually(lambda: isinstance(app.screen, DeadLetters))
        marked = tuple(letter.entry_id for letter in seed.dead_letters()[:3])
        if agree:
            await eventually(lambda: any("requeue: 3 of 3 done" in toast for toast in toasts(app)))
            assert actions.requests == [RequeueDeadLetters(Selector(marked))]
            await eventually(lambda: not table.marks)
        else:
            await settled(pilot)
            assert actions.executed == []
            assert table.marks.names == set(marked)


async def test_requeue_of_one_mark_leaves_the_row_under_the_cursor(tmp_path: Path) -> None:
    """One marked letter needs no dialog; it is the one that is requeued."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        await pilot.press("space", "R")
        await eventually(lambda: bool(actions.executed))
        assert actions.requests == [RequeueDeadLetters(Selector((seed.dead_letters()[0].entry_id,)))]


async def test_writing_is_allowed_for_a_while_with_a_countdown(tmp_path: Path) -> None:
    """`:write on 15m` on a read-only bus: the status line counts down, R works; when the time is over it does not."""
    app, _, actions = seed.make_app(seed.swarm(), folder=tmp_path, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "READ-ONLY" in screen_text(app)
        await pilot.press("4")
        await eventually(lambda: app.screen.query(DeadLetterList) and app.screen.query_one(DeadLetterList).rows)
        await pilot.press("R")
        await settled(pilot)
        assert actions.executed == []
        await pilot.press("colon", *"write on 15m", "enter")
        await eventually(lambda: "WRITE 15:00" in screen_text(app))
        await pilot.press("R")
        await eventually(lambda: actions.executed)
        actions.armed_s = None
        await eventually(lambda: "READ-ONLY" in screen_text(app))
        await pilot.press("R")
        await settled(pilot)
        assert len(actions.executed) == 1
