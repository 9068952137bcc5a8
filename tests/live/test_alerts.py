"""Alerts of a real bus, told to a real web server, a real program and the event log; kept quiet across restarts."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from observatory.live import LiveSource
from observatory.live.alerts import AlertKeeper
from observatory.live.sinks import MOST_WAITING, CommandSink, EventSink, Notice, WebhookSink
from observatory.model.alert import AlertState, ChangeKind, Level, Rule
from observatory.model.clock import ManualClock
from observatory.model.health import Severity
from observatory.model.snapshot import LaneView, LinkState, LinkView, Origin, Snapshot
from observatory.model.task import Priority
from tests.conftest import eventually
from tests.live.test_source import first, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from observatory.bus import Bus
    from observatory.live.sinks import Sink

BACKLOG = Rule(
    "backlog",
    "lane.backlog",
    (Level(10, Severity.WARN, clear=5), Level(100, Severity.CRIT, clear=50)),
    clear_for_s=0,
    subjects="high",
)


class Told:
    """A sink that only remembers, or waits for ever."""

    name = "told"
    deadline_s = 5.0

    def __init__(self, *, stuck: bool = False) -> None:
        self.notices: list[Notice] = []
        self.stuck = stuck

    async def send(self, notice: Notice) -> None:
        """Take a notice."""
        if self.stuck:
            await asyncio.Event().wait()
        self.notices.append(notice)


class Desk:
    """A keeper whose clock and snapshots are made by hand."""

    def __init__(self, *sinks: Sink, file: Path | None = None, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.keeper = AlertKeeper((BACKLOG,), bus="prod", clock=self.clock, sinks=sinks, file=file)

    def see(self, backlog: int | None, *, after_s: float = 1.0) -> list[tuple[ChangeKind, bool]]:
        """Look at a bus whose high lane has *backlog*; return what changed and whether it is told."""
        self.clock.advance(after_s)
        self.shot = Snapshot(
            at_ms=self.clock.now_ms(),
            origin=Origin.LIVE,
            link=LinkView(LinkState.READY, 0),
            lanes=(LaneView("shared", Priority.HIGH, "cortex:tasks:high", backlog, backlog, 0),),
        )
        return [(change.kind, change.tell) for change in self.keeper.observe(self.shot)]


async def test_a_snapshot_shows_what_fires(bus: Bus, plain: redis.Redis) -> None:
    """A lane that fills up is an alert in the snapshot, and resolved when it is empty again."""
    keeper = AlertKeeper((BACKLOG,), bus="lab", clock=ManualClock())
    source = LiveSource(bus, refresh_s=0.25, alerts=keeper)
    assert source.alerts is keeper
    async with watch(source) as shots:
        assert (await anext(shots)).alerts == ()
        for _ in range(12):
            plain.xadd("cortex:tasks:high", {"type": "t"})
        shot = await anext(shots)
        assert [(change.kind, change.tell) for change in shot.alert_changes] == [(ChangeKind.FIRED, True)]
        (alert,) = shot.alerts
        assert (alert.id, alert.state, alert.severity, alert.value) == (
            "backlog/high",
            AlertState.FIRING,
            Severity.WARN,
            12.0,
        )
        assert (await anext(shots)).alert_changes == ()
        plain.delete("cortex:tasks:high")
        shot = await first(shots, lambda shot: shot.alerts[0].state is AlertState.RESOLVED)
    assert shot.alert_problems == ()


async def test_a_sink_hears_of_a_flapping_alert_once() -> None:
    """Up and down around its threshold is one alert that is told once; getting worse is told again."""
    told = Told()
    desk = Desk(told)
    for backlog in (12, 2, 12, 2, 12, 2, 12, 150):
        desk.see(backlog)
    await desk.keeper.close()
    kinds = [(notice.what, notice.alert.severity) for notice in told.notices]
    assert kinds[0] == (ChangeKind.FIRED, Severity.WARN)
    assert kinds[-1] == (ChangeKind.WORSE, Severity.CRIT)
    assert sum(what is ChangeKind.FIRED for what, _ in kinds) == 1
    assert len(kinds) <= 4
    assert desk.keeper.told(desk.shot).alerts[0].times == 4


async def test_an_acknowledgement_outlives_a_restart(tmp_path: Path) -> None:
    """What was seen is not told again after a restart, until it gets worse; when it is over, that is over too."""
    file = tmp_path / "state" / "alerts.json"
    before = Desk(file=file)
    before.see(12)
    assert before.keeper.acknowledge("backlog/high", by="ana", reason="on it")
    assert not before.keeper.acknowledge("backlog/low", by="ana")
    told = Told()
    after = Desk(told, file=file, clock=before.clock)
    assert after.see(14) == [(ChangeKind.FIRED, False)]
    (alert,) = after.keeper.told(after.shot).alerts
    assert alert.acknowledged is not None
    assert (alert.acknowledged.by, alert.acknowledged.reason) == ("ana", "on it")
    assert after.see(150) == [(ChangeKind.WORSE, True)]
    after.see(0)
    after.see(0, after_s=30)
    for _ in range(40):
        after.see(0, after_s=30)
    again = Desk(file=file, clock=after.clock)
    assert again.see(12) == [(ChangeKind.FIRED, True)]


async def test_a_mute_with_an_end_outlives_a_restart_and_ends(tmp_path: Path) -> None:
    """While it holds nothing is told; at its end what still fires is."""
    file = tmp_path / "alerts.json"
    before = Desk(file=file)
    before.keeper.mute("backlog", "*", by="ana", until_ms=before.clock.now_ms() + 60_000, reason="deploying")
    after = Desk(file=file, clock=before.clock)
    assert [quiet.reason for quiet in after.keeper.mutes] == ["deploying"]
    assert after.see(12) == [(ChangeKind.FIRED, False)]
    assert after.see(12, after_s=61) == [(ChangeKind.REMINDED, True)]
    after.keeper.unmute(after.keeper.mute("*", "*", by="ana", until_ms=after.clock.now_ms() + 60_000))
    assert Desk(file=file, clock=after.clock).keeper.mutes == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"muted": [{"by": 1}]}', '{"acknowledged": 3}'])
async def test_a_damaged_memory_is_told_and_nothing_else_is_lost(tmp_path: Path, text: str) -> None:
    """A file that cannot be read is named; alerts go on, and the next word replaces it."""
    file = tmp_path / "alerts.json"
    file.write_text(text)
    desk = Desk(file=file)
    assert "cannot be read" in desk.keeper.problems[0]
    assert desk.see(12) == [(ChangeKind.FIRED, True)]
    assert desk.keeper.acknowledge("backlog/high", by="ana")
    assert desk.keeper.problems == ()


async def test_a_sink_that_hangs_keeps_nobody_waiting() -> None:
    """Looks go on, others are told, what waits for it is bounded, and closing does not wait for ever."""
    stuck, told = Told(stuck=True), Told()
    desk = Desk(stuck, told)
    for number in range(MOST_WAITING + 20):
        keeper_notice = Notice(ChangeKind.FIRED, _alert(desk), "prod", number)
        for outbox in desk.keeper._outboxes:
            outbox.put(keeper_notice)
    await eventually(lambda: len(told.notices) >= MOST_WAITING)
    assert any("were not told" in problem for problem in desk.keeper.problems)
    async with asyncio.timeout(20):
        await desk.keeper.close()


def _alert(desk: Desk) -> Any:
    desk.see(12)
    return desk.keeper.told(desk.shot).alerts[0]


async def test_a_fact_is_written_for_each_alert(bus: Bus) -> None:
    """The event log holds that it fired and that it was over, with severity and words."""
    desk = Desk(EventSink(bus))
    desk.see(12)
    desk.see(0)
    await desk.keeper.close()
    resolved, fired = (await bus.events()).items
    assert (fired.kind, fired.reason) == ("alert_fired", "warn")
    assert fired.detail.startswith("backlog/high: lane high: backlog 12")
    assert resolved.kind == "alert_resolved"


@contextmanager
def server(*statuses: int) -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """A web server that answers with *statuses*, the last one for ever, and what it was sent."""
    left = list(statuses)
    taken: list[tuple[dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(({**self.headers, "path": self.path}, json.loads(body)))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://ana:se%20cret@127.0.0.1:{running.server_port}/hook?room=1", taken
        finally:
            running.shutdown()
            thread.join()


async def test_a_webhook_gets_the_alert_as_json() -> None:
    """By POST, with the credentials of the address, to its path and query."""
    with server(204) as (url, taken):
        desk = Desk(WebhookSink(url))
        desk.see(12)
        await eventually(lambda: taken)
        await desk.keeper.close()
    ((headers, told),) = taken
    assert (headers["path"], headers["Content-Type"]) == ("/hook?room=1", "application/json")
    assert headers["Authorization"] == "Basic YW5hOnNlIGNyZXQ="
    assert (told["what"], told["id"], told["severity"], told["bus"]) == ("fired", "backlog/high", "warn", "prod")
    assert told["text"].startswith("lane high: backlog 12")
    assert desk.keeper.problems == ()


async def test_a_webhook_that_stumbles_is_tried_again_and_one_that_refuses_is_not() -> None:
    """A server's error is passing; a client's error is an answer, and the problem is told without the secret."""
    with server(500, 200) as (url, taken):
        await WebhookSink(url).send(Notice(ChangeKind.FIRED, _alert(Desk()), "prod", 0))
        assert len(taken) == 2
    with server(403) as (url, taken):
        desk = Desk(WebhookSink(url))
        desk.see(12)
        await eventually(lambda: desk.keeper.problems)
        await desk.keeper.close()
        assert len(taken) == 1
    assert "answered 403" in desk.keeper.problems[0]
    assert "se%20cret" not in desk.keeper.problems[0]


async def test_a_webhook_that_never_answers_fails_at_its_deadline() -> None:
    """A server that accepts and says nothing is given up, and the problem says so."""

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    mute = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    desk = Desk(WebhookSink(f"http://127.0.0.1:{port}/", deadline_s=0.2))
    desk.see(12)
    await eventually(lambda: desk.keeper.problems)
    await desk.keeper.close()
    mute.close()
    assert desk.keeper.problems == ("webhook: not done within 0.2 s",)


async def test_a_program_is_run_with_the_alert(tmp_path: Path) -> None:
    """It finds the notice on its standard input and the most important of it in its environment; no shell reads it."""
    file = tmp_path / "told"
    program = "import os, sys; open(sys.argv[1], 'w').write(os.environ['OBSERVATORY_ALERT_ID'] + sys.stdin.read())"
    desk = Desk(CommandSink((sys.executable, "-c", program, str(file))))
    desk.see(12)
    await eventually(lambda: file.exists() and file.read_text().endswith("}"))
    await desk.keeper.close()
    ident, brace, rest = file.read_text().partition("{")
    assert ident == "backlog/high"
    assert json.loads(brace + rest)["value"] == 12.0


async def test_a_program_that_fails_or_hangs_is_told_and_killed(tmp_path: Path) -> None:
    """Its last word on stderr, that it is not there, or that it took too long: with everything that it started."""
    file = tmp_path / "pid"
    hang = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '600']); "
    hang += "open(sys.argv[1], 'w').write(str(p.pid)); time.sleep(600)"

    async def problem_of(*words: str, deadline_s: float = 20.0) -> str:
        desk = Desk(CommandSink(words, deadline_s=deadline_s))
        desk.see(12)
        await eventually(lambda: desk.keeper.problems)
        await desk.keeper.close()
        return desk.keeper.problems[0]

    assert "ended with 1: no room" in await problem_of(sys.executable, "-c", "import sys; sys.exit('no room')")
    assert "FileNotFoundError" in await problem_of("no-such-program-here")
    assert "not done within 2 s" in await problem_of(sys.executable, "-c", hang, str(file), deadline_s=2.0)
    child = int(file.read_text())
    await eventually(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    """Say whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_what_another_program_said_holds_here_at_the_next_look(tmp_path: Path) -> None:
    """Two keepers of one file: a mute and an acknowledgement given to one quiet the other, and so does their end."""
    file = tmp_path / "alerts" / "prod.json"
    told, clock = Told(), ManualClock()
    here, there = Desk(told, file=file, clock=clock), Desk(file=file, clock=clock)
    here.see(20)
    there.see(20)
    await eventually(lambda: len(told.notices) == 1)
    assert there.keeper.acknowledge("backlog/high", by="kim", reason="known")
    here.see(20)
    (alert,) = here.keeper.told(here.shot).alerts
    assert alert.acknowledged is not None
    assert (alert.acknowledged.by, alert.acknowledged.reason) == ("kim", "known")
    mute = there.keeper.mute("backlog", "*", by="kim", until_ms=clock.now_ms() + 60_000)
    assert here.see(200) == [(ChangeKind.WORSE, False)]
    there.keeper.unmute(mute)
    assert (ChangeKind.REMINDED, True) in here.see(200)
    await here.keeper.close()
