"""A swarm that stands still: deterministic data for the screens, rich enough to look real. No bus is imitated here."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from observatory.live.alerts import AlertKeeper
from observatory.model.agent import AgentState
from observatory.model.clock import ManualClock
from observatory.model.dead_letter import DeadLetter
from observatory.model.event import Event, EventKind
from observatory.model.listing import Ask, Page
from observatory.model.plan import (
    AuditRecord,
    Consent,
    Demand,
    JobView,
    Plan,
    PlannedItem,
    Report,
    Request,
    RequeueDeadLetters,
    SendTask,
    SentCall,
    demand,
)
from observatory.model.snapshot import (
    AgentView,
    DeadLetterSummary,
    EngineView,
    Flow,
    GroupView,
    LaneState,
    LaneView,
    LinkState,
    LinkView,
    Origin,
    Quantiles,
    Snapshot,
)
from observatory.model.task import Priority
from observatory.model.trace import Trace
from observatory.settings import themes
from observatory.tui.app import ObservatoryApp
from observatory.tui.desk import OpenBus
from observatory.tui.messages import SnapshotArrived
from tests.tui import rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from observatory.model.alert import Rule
    from observatory.model.engine import EngineReport
    from observatory.model.listing import AgentDetail, EntryRow, GroupRow, PendingRow, PendingScope, TaskRow
    from observatory.settings import ThemeSet
    from observatory.settings.keymap import Keymap

RowT = TypeVar("RowT")

NOW_MS = rows.NOW_MS
"""2026-02-06 14:45:03 UTC."""

URL = "redis://:***@bus.internal:6379/0"


def themes_without_user(folder: Path) -> ThemeSet:
    """Return the shipped themes only, wherever the tests run."""
    return themes(folder / "no-themes-here")


class SeedSource:
    """Yields the snapshots it is given and serves the dead letters it is given."""

    def __init__(
        self, *snapshots: Snapshot, letters: tuple[DeadLetter, ...] = (), keeper: AlertKeeper | None = None
    ) -> None:
        self.queue: asyncio.Queue[Snapshot] = asyncio.Queue()
        for snapshot in snapshots:
            self.queue.put_nowait(snapshot)
        self.letters = letters
        self.log = events()
        self.streams: dict[str, tuple[EntryRow, ...]] = {rows.HIGH: rows.entries()}
        self.held: tuple[PendingRow, ...] = rows.held()
        self.groups_of: dict[str, tuple[GroupRow, ...]] = {rows.HIGH: rows.groups()}
        self.alerts = keeper
        self.details: dict[str, AgentDetail] = {"pink": rows.pink()}
        self.found: tuple[TaskRow, ...] = rows.tasks()
        self.traces: dict[str, Trace] = {rows.TRACED: rows.trace()}
        self.report = rows.engine()
        self.reads = 0
        self.error: Exception | None = None

    def push(self, snapshot: Snapshot) -> None:
        """Let one more snapshot arrive."""
        self.queue.put_nowait(snapshot)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield what was pushed, in order, with what the keeper of alerts makes of it."""
        while True:
            snapshot = await self.queue.get()
            keeper = self.alerts
            yield snapshot if keeper is None else keeper.told(snapshot, keeper.observe(snapshot))

    async def dead_letters(self, ask: Ask) -> Page[DeadLetter]:
        """Return a piece of the letters."""
        return self._piece(self.letters, lambda letter: letter.entry_id, ask)

    async def events(self, ask: Ask) -> Page[Event]:
        """Return a piece of the log."""
        return self._piece(self.log, lambda event: event.id, ask)

    async def entries(self, stream: str, ask: Ask) -> Page[EntryRow]:
        """Return a piece of what was put into `streams`, which lie newest first."""
        found = self.streams.get(stream, ())
        return self._piece(found if ask.newest_first else found[::-1], lambda row: row.key, ask)

    async def entry(self, stream: str, key: str) -> EntryRow | None:
        """Return one row of `streams`."""
        return next((row for row in self.streams.get(stream, ()) if row.key == key), None)

    async def pending(self, ask: Ask, scope: PendingScope) -> Page[PendingRow]:
        """Return a piece of those of `held` that the scope speaks of."""
        wanted = [
            row for row in self.held
            if (not scope.streams or row.stream in scope.streams) and scope.group in ("", row.hold.group)
            and scope.consumer in ("", row.hold.consumer)
        ]  # fmt: skip
        return self._piece(wanted, lambda row: row.key, ask)

    async def agent(self, name: str) -> AgentDetail | None:
        """Return what was put into `details`."""
        return self.details.get(name)

    async def tasks(self, ask: Ask) -> Page[TaskRow]:
        """Return a piece of `found`."""
        return self._piece(self.found, lambda row: row.key, ask)

    async def trace(self, task_id: str) -> Trace:
        """Return what was put into `traces`, or that nothing is known."""
        return self.traces.get(task_id, Trace(task_id, "", None, NOW_MS))

    async def engine(self) -> EngineReport:
        """Return `report`."""
        return self.report

    async def groups(self, stream: str) -> tuple[GroupRow, ...]:
        """Return what was put into `groups_of`."""
        return self.groups_of.get(stream, ())

    def _piece(self, rows: Sequence[RowT], key: Callable[[RowT], str], ask: Ask) -> Page[RowT]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return piece(rows, key, ask)


def piece(rows: Sequence[RowT], key: Callable[[RowT], str], ask: Ask) -> Page[RowT]:
    """Return the piece of *rows*, which lie in the order of the list, that *ask* asks for."""
    keys = [key(row) for row in rows]
    start = len(rows) if ask.backwards else 0
    if ask.cursor:
        at = keys.index(ask.cursor) if ask.cursor in keys else sum(known > ask.cursor for known in keys)
        start = at + (ask.inclusive if ask.backwards else 0 if ask.inclusive or ask.cursor not in keys else 1)
    steps = range(start - 1, -1, -1) if ask.backwards else range(start, len(rows))
    found: list[RowT] = []
    searched, last = 0, start
    for place in steps:
        searched, last = searched + 1, place
        if ask.where is None or ask.where(rows[place]):
            found.append(rows[place])
        if len(found) == ask.limit or (ask.where is not None and searched == ask.most):
            break
    first, final = (last, start - 1) if ask.backwards else (start, last)
    after = keys[final] if rows and final < len(rows) - 1 and final >= 0 else None
    before = keys[first] if rows and 0 < first < len(rows) else None
    items = tuple(reversed(found)) if ask.backwards else tuple(found)
    return Page(items, after, len(rows), before, None if ask.where is None else searched)


class SeedActions:
    """Plans what is asked, and remembers it instead of doing it."""

    refusal = ""
    armed_s: float | None = None

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.rows: tuple[JobView, ...] = ()
        self.audit: tuple[AuditRecord, ...] = ()
        self.steered: list[tuple[str, str, str]] = []
        self.executed: list[Plan] = []
        self.error: Exception | None = None

    async def plan(self, request: Request) -> Plan:
        """Plan without looking."""
        self.requests.append(request)
        if isinstance(request, SendTask):
            task = request.task
            item = PlannedItem(task.id, "", f"cortex:tasks:{task.lane}", task.type)
            return Plan("plan-1", "send", "", (item,), (), NOW_MS)
        assert isinstance(request, RequeueDeadLetters)
        sources = {letter.entry_id: letter.source for letter in dead_letters()}
        items = tuple(
            PlannedItem(entry, "cortex:tasks:dlq", sources.get(entry, "cortex:tasks:high"), entry)
            for entry in request.select.ids
        )
        return Plan("plan-1", "requeue", "", items, (), NOW_MS)

    def arm(self, seconds: float) -> None:
        """Allow writing."""
        self.armed_s = seconds

    def disarm(self) -> None:
        """Forbid it."""
        self.armed_s = None

    def demand(self, plan: Plan) -> Demand:
        """Ask as the real ones do."""
        return demand(plan)

    async def jobs(self, limit: int) -> tuple[JobView, ...]:
        """What is there."""
        return self.rows[:limit]

    async def records(self, limit: int) -> tuple[AuditRecord, ...]:
        """What operators did."""
        return self.audit[:limit]

    def sent(self) -> tuple[SentCall, ...]:
        """What was sent."""
        return tuple(SentCall(NOW_MS, f"EVALSHA {plan.verb}.lua", "1 answers", 0.4) for plan in self.executed)

    async def steer(self, job: str, wish: str, value: str = "") -> None:
        """Remember it."""
        self.steered.append((job, wish, value))

    async def resume(self, job: str) -> Report:
        """Remember it."""
        self.steered.append((job, "resume", ""))
        return Report(Plan(job, "requeue", "", (), (), NOW_MS), (), (), ())

    async def execute(self, plan: Plan, consent: Consent) -> Report:
        """Report that everything was done."""
        if self.error is not None:
            raise self.error
        self.executed.append(plan)
        return Report(plan, tuple(item.id for item in plan.items), (), tuple("1-0" for _ in plan.items))


def make_app(
    snapshot: Snapshot | None,
    *,
    letters: tuple[DeadLetter, ...] | None = None,
    theme: str = "observatory-dark",
    read_only: bool = False,
    folder: Path,
    clock: ManualClock | None = None,
    keymap: Keymap | None = None,
    memory: Path | None = None,
    rules: tuple[Rule, ...] = (),
    context: str = "demo",
) -> tuple[ObservatoryApp, SeedSource, SeedActions]:
    """Return an app over seeded data, with its source and its actions."""
    clock = clock or ManualClock(NOW_MS)
    keeper = AlertKeeper(rules, bus="demo", clock=clock) if rules else None
    shots = [snapshot] if snapshot else []
    source = SeedSource(*shots, letters=dead_letters() if letters is None else letters, keeper=keeper)
    actions = SeedActions()
    app = ObservatoryApp(
        OpenBus(context, source, actions, read_only=read_only),
        themes=themes_without_user(folder),
        theme=theme,
        clock=clock,
        keymap=keymap,
        state_dir=folder / "state",
        memory=memory,
    )
    return app, source, actions


def arrived(snapshot: Snapshot, *, generation: int) -> SnapshotArrived:
    """Return the message by which a source's snapshot reaches the app."""
    return SnapshotArrived(snapshot, generation)


def swarm() -> Snapshot:
    """Return a swarm with trouble in it: a deploy that fails, an agent that died, a lane that nobody serves."""
    return Snapshot(
        at_ms=NOW_MS,
        origin=Origin.LIVE,
        link=LinkView(LinkState.READY, NOW_MS - 3_600_000, url=URL, data_ms=NOW_MS),
        lanes=lanes(),
        agents=agents(),
        dead_letters=DeadLetterSummary(
            total=37,
            reasons=(("error", 21), ("stale", 9), ("poison", 4), ("no_handler", 2), ("malformed", 1)),
            counted=37,
            oldest_s=9_340,
            rate=0.3,
        ),
        delayed=6,
        flow=flow(),
        events=events(),
        engine=EngineView("valkey", "9.1.2", 34_900_000, 4_000_000_000, 31, 1_240),
        sequence=1,
    )


def healthy() -> Snapshot:
    """Return the same swarm on a good day."""
    good = tuple(replace(lane, state=LaneState.OK, groups=_group(0, 2, 3)) for lane in lanes()[:4])
    alive = tuple(agent for agent in agents() if agent.state is AgentState.ALIVE)
    return replace(swarm(), lanes=good, agents=alive, dead_letters=DeadLetterSummary(total=0), sequence=2)


def link_down() -> Snapshot:
    """Return the old data that a source yields while the bus does not answer."""
    link = LinkView(LinkState.LOST, NOW_MS - 12_000, "connection refused", URL, NOW_MS - 13_000)
    return replace(swarm(), link=link, sequence=3)


def lanes() -> tuple[LaneView, ...]:
    """Return nine lanes, from quiet to broken."""
    return (
        _lane("shared", Priority.CRITICAL, 3, 1, 2, 2.1, 2.0, waits=0.8, held=3.1, shape="spike"),
        _lane("shared", Priority.HIGH, 41, 33, 8, 12.4, 11.0, waits=9.0, held=22.0, shape="rise"),
        _lane("shared", Priority.NORMAL, 212, 190, 22, 24.0, 26.5, waits=41.0, held=64.0, shape="fall"),
        _lane("shared", Priority.LOW, 1_804, None, 6, 31.0, 12.2, waits=402.0, held=18.0, shape="rise"),
        _lane("coding", Priority.HIGH, 5, 1, 4, 1.3, 1.3, waits=1.2, held=95.0, shape="flat"),
        _lane("coding", Priority.NORMAL, 0, 0, 0, 0.0, 0.0, shape="none", state=LaneState.IDLE),
        LaneView(
            "deploy", Priority.HIGH, "cortex:tasks:deploy:high", 17, 17, 0, (), 312.0, None, 0.4, 0.0,
            _trend("rise", 17), LaneState.NO_CONSUMERS,
        ),
        LaneView(
            "legacy", Priority.NORMAL, "cortex:tasks:legacy:normal", None, None, None,
            state=LaneState.BROKEN, problem="WRONGTYPE: the key holds a list",
        ),
        _lane("@pink", Priority.CRITICAL, 1, 0, 1, 0.1, 0.1, held=252.0, shape="spike"),
    )  # fmt: skip


def agents() -> tuple[AgentView, ...]:
    """Return thirteen agents in every state."""
    alive, late = AgentState.ALIVE, AgentState.LATE
    return (
        AgentView("cursor", alive, 1.2, "busy", "refactor-0198c2", 48.0, 0.75, 3, 812, 4, ("coding",), "2.4.0"),
        AgentView("dove", late, 15.5, "busy", "summarise-77", 19.0, 0.5, 2, 96, 1),
        AgentView("finch", AgentState.STALE, 41.0, "busy", "index-docs-9", 64.0, 1.0, 4, 33, 0),
        AgentView("gale", AgentState.LEFT, 900.0, "stopped", "", None, 0.0, 0, 410, 2),
        AgentView("harold", alive, 0.4, "busy", "plan-release-12", 7.0, 0.25, 1, 1_204, 3, ("shared",), "2.4.1"),
        AgentView("iris", alive, 2.1, "busy", "review-pr-512", 33.0, 1.0, 4, 640, 0),
        AgentView("juno", alive, 3.0, "idle", "", None, 0.0, 0, 88, 0),
        AgentView("moss", alive, 1.9, "busy", "migrate-db-3", 131.0, 0.5, 2, 57, 6),
        AgentView("otto", alive, 0.9, "idle", "", None, 0.0, 0, 501, 1),
        AgentView("pink", alive, 1.1, "busy", "deploy-api-42", 252.0, 1.0, 5, 733, 21, ("deploy",), "2.4.1"),
        AgentView("red", AgentState.DEAD, 143.0, "busy", "train-eval-8", 190.0, 1.0, 7, 288, 9),
        AgentView("sable", None, None, "", "", None, None, 0),
        AgentView("wren", alive, 2.7, "busy", "lint-monorepo", 3.0, 0.25, 1, 921, 0),
    )


def flow() -> Flow:
    """Return two minutes of rates and latencies, with a gap where nothing finished."""
    ticks = range(120)
    published = tuple(38 + 9 * math.sin(tick / 9) + (26 if 80 <= tick < 96 else 0) for tick in ticks)
    completed = tuple(36 + 7 * math.sin((tick - 6) / 9) - (14 if 84 <= tick < 104 else 0) for tick in ticks)
    failed = tuple(max(0.0, 1.5 * math.sin(tick / 4)) + (6 if 86 <= tick < 110 else 0) for tick in ticks)
    wait = tuple(math.nan if 40 <= tick < 48 else 420 + 160 * math.sin(tick / 11) + 9 * tick for tick in ticks)
    run = tuple(math.nan if 40 <= tick < 48 else 830 + 190 * math.sin(tick / 6) for tick in ticks)
    return Flow(
        published, completed, failed,
        Quantiles(212.0, 1_320.0, 3_410.0, 2_204), Quantiles(640.0, 1_080.0, 4_900.0, 2_161), wait, run, 120.0,
    )  # fmt: skip


def events() -> tuple[Event, ...]:
    """Return the newest facts, newest first."""
    error = "ConnectionError: registry.internal:5000 refused the connection"
    facts = (
        (EventKind.DEAD_LETTERED, "deploy-api-41", "deploy", "pink", 3, "error", 4_100, error),
        (EventKind.TAKEN, "lint-monorepo", "code_task", "wren", 1, "", 120, ""),
        (EventKind.PUBLISHED, "lint-monorepo", "code_task", "harold", 0, "", None, ""),
        (EventKind.COMPLETED, "review-pr-511", "review", "iris", 1, "", 31_200, ""),
        (EventKind.RETRIED, "deploy-api-42", "deploy", "pink", 2, "", 3_950, error),
        (EventKind.AGENT_LOST, "", "", "red", 0, "", None, "silent for 143 s"),
        (EventKind.REDELIVERED, "train-eval-7", "train", "moss", 2, "", None, "from red"),
        (EventKind.COMPLETED, "summarise-76", "summarise", "dove", 1, "", 8_400, ""),
        (EventKind.SCHEDULED, "nightly-backup", "backup", "harold", 0, "", None, ""),
        (EventKind.PROMOTED, "deploy-api-42", "deploy", "", 2, "", None, ""),
        (EventKind.DEAD_LETTERED, "digest-301", "digest", "", 1, "stale", None, "waited 3612 s of 3600"),
        (EventKind.OBSERVED, "x-low-1770389088-4", "crawl", "", 0, "", None, "foreign entry"),
        (EventKind.REQUEUED, "deploy-api-38", "deploy", "operator", 0, "", None, ""),
        (EventKind.CANCELLED, "crawl-9921", "crawl", "", 0, "", None, ""),
        (EventKind.AGENT_UP, "", "", "wren", 0, "", None, "2.4.1"),
        (EventKind.AGENT_DOWN, "", "", "gale", 0, "", None, ""),
    )
    lane = "cortex:tasks:deploy:high"
    found = []
    for number in range(48):
        kind, task, type_, agent, attempt, reason, ms, detail = facts[number % len(facts)]
        at = NOW_MS - 700 * number
        consumer = f"{agent}@node-{number % 3}:41{number:02d}:7f3a" if agent else ""
        found.append(Event(f"{at}-{number}", kind, at, task, type_, lane, consumer, attempt, reason, ms, detail))
    return tuple(found)


def dead_letters(number: int = 37) -> tuple[DeadLetter, ...]:
    """Return dead letters, newest first, of every reason and with every kind of payload."""
    causes = (
        ("error", "deploy", "ConnectionError: registry.internal:5000 refused the connection", 3),
        ("error", "deploy", "ConnectionError: registry.internal:5000 refused the connection", 3),
        ("stale", "digest", "waited 3612 s of 3600", 1),
        ("error", "code_task", "AssertionError: 3 of 214 tests failed", 3),
        ("poison", "train", "delivered 6 times, never settled", 6),
        ("no_handler", "paint", "no worker of workers handles 'paint'", 1),
        ("malformed", "", "neither a type nor a payload", None),
    )
    found = []
    for index in range(number):
        reason, type_, error, attempts = causes[index % len(causes)]
        died = NOW_MS - 4_000 - index * 251_000
        payload = _payload(index)
        fields = (
            (b"id", f"{type_ or 'x'}-api-{41 - index}".encode()),
            (b"type", type_.encode()),
            (b"payload", payload),
            (b"reason", reason.encode()),
        )
        found.append(
            DeadLetter(
                f"{died}-0", f"{type_ or 'x'}-api-{41 - index}", type_, reason, error, attempts,
                "cortex:tasks:deploy:high" if type_ == "deploy" else "cortex:tasks:normal", f"{died - 60_000}-0",
                "pink@node-1:4127:7f3a", died, died - 64_000, 1 if index == 1 else 0, payload, fields,
            )
        )  # fmt: skip
    return tuple(found)


def _payload(index: int) -> bytes:
    if index % 7 == 4:
        return bytes(range(256)) * 2
    if index % 7 == 2:
        return b"Summarise the incident channel of the last hour.\nKeep it under ten lines."
    return json.dumps(
        {
            "service": "api",
            "image": "registry.internal:5000/api:2026.02.06-3",
            "replicas": 4,
            "strategy": {"kind": "rolling", "max_unavailable": 1, "timeout_s": 300},
            "checks": ["healthz", "smoke", "latency-p95"],
            "requested_by": "harold",
            "dry_run": False,
        }
    ).encode()


def _lane(
    queue: str,
    priority: Priority,
    *numbers: float | None,
    waits: float | None = None,
    held: float | None = None,
    shape: str,
    state: LaneState = LaneState.OK,
) -> LaneView:
    """Return a lane; *numbers* are backlog, lag, pending, in/s and out/s."""
    backlog, lag, pending = (None if number is None else int(number) for number in numbers[:3])
    stream = f"cortex:tasks:{priority}" if queue == "shared" else f"cortex:tasks:{queue}:{priority}"
    return LaneView(
        queue, priority, stream, backlog, backlog, pending, _group(lag, pending or 0, 4), waits, held, numbers[3],
        numbers[4], _trend(shape, backlog or 0), state,
    )  # fmt: skip


def _group(lag: int | None, pending: int, consumers: int) -> tuple[GroupView, ...]:
    return (GroupView("workers", lag, pending, consumers, f"{NOW_MS - 900}-0"),)


def _trend(shape: str, top: float) -> tuple[float, ...]:
    """Return 60 points that end at *top*."""
    curves: dict[str, Callable[[float], float]] = {
        "rise": lambda x: 0.15 + 0.85 * x * x + 0.06 * math.sin(x * 40),
        "fall": lambda x: 1.9 - 0.9 * x + 0.12 * math.sin(x * 30),
        "flat": lambda x: 0.8 + 0.2 * math.sin(x * 25),
        "spike": lambda x: 0.1 + (0.9 if 0.35 < x < 0.5 else 0.2 * abs(math.sin(x * 18))),
        "none": lambda _: 0.0,
    }
    return tuple(max(top, 1) * max(curves[shape](point / 59), 0.0) for point in range(60))
