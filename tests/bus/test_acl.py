"""Roles: each does its duties and nothing else, on every make of engine, and holds no command that it does not need."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
import redis

from observatory.actions import BusActions
from observatory.bus import Bus, CancelOutcome, DoNotRetry, PublishOutcome
from observatory.bus.care.acl import CLUSTER, MESSAGES, PASSWORD, ROLES, STEERING, durable, role_named, rules, set_user
from observatory.bus.care.audit import audit
from observatory.bus.care.doctor import examine
from observatory.bus.moves.requeued import RequeueOutcome
from observatory.model.clock import SystemClock
from observatory.model.errors import BusError, RefusedError, UsageError
from observatory.model.health import Severity
from observatory.model.listing import Ask
from observatory.model.plan import (
    ClaimPending,
    Consent,
    PauseLanes,
    Request,
    RequeueDeadLetters,
    ResetGroup,
    Reversal,
    Selector,
    SendTask,
    SetBounds,
    TellAgents,
    TrashLetters,
    UndoJob,
)
from observatory.model.retention import Retention
from observatory.model.task import NewTask, TaskState
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LEASE_S = 0.4


@pytest.fixture
def admin(any_engine: str) -> Iterator[Any]:
    """A plain client that may do everything, on an engine of each make."""
    with redis.Redis.from_url(any_engine, decode_responses=True) as client:
        yield client


def user_of(admin: Any, url: str, role: str, *without: str) -> str:
    """Make a user of *role*, less some commands, and return the URL by which it connects."""
    admin.execute_command("ACL", "SETUSER", role, *rules(ROLES[role], "cortex", "secret"))
    for command in without:
        admin.execute_command("ACL", "SETUSER", role, f"-{command}")
    return re.sub(r"password=.*", f"username={role}&password=secret", url)


@contextlib.asynccontextmanager
async def working(bus: Bus) -> AsyncIterator[None]:
    """Run the worker of the agent's duties; it ends even where it may not do what ending takes."""

    async def handler(task: Any, context: Any) -> None:
        if task.type == "long":
            await asyncio.sleep(LEASE_S)  # so long that its lease must be renewed
        if task.type == "retried" and task.attempt == 1:
            raise ValueError("once")
        if task.type == "failing":
            raise DoNotRetry("never")

    worker = bus.worker(
        "pink", {"*": handler}, queues=("shared", "coding"), concurrency=4, lease_s=LEASE_S, retry_delays=(0.05,)
    )
    running = asyncio.create_task(worker.run())
    try:
        yield
        worker.stop()
        await running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def prepare(url: str, admin: Any) -> None:
    """Leave what an agent meets: work of the dead, cancelled and foreign work, and a lane that two groups read."""
    admin.xgroup_create("cortex:tasks:low", "workers", id="0", mkstream=True)
    for group in ("workers", "audit"):
        admin.xgroup_create("cortex:tasks:coding:low", group, id="0", mkstream=True)
    admin.xadd("cortex:tasks:low", {"id": "orphan", "type": "ok"})
    admin.xreadgroup("workers", "ghost", {"cortex:tasks:low": ">"})
    async with Bus.connect(url) as bus:
        await bus.publish("ok", id="unwanted")
        await bus.cancel("unwanted")
    admin.xadd("cortex:tasks:high", {"id": "foreign", "type": "failing"})
    admin.script_flush()


def contents(url: str) -> dict[bytes, bytes]:
    """Return every key of the engine with its value."""
    with redis.Redis.from_url(url) as client:
        return {key: client.dump(key) for key in client.scan_iter()}


async def agent_duties(bus: Bus, state_of: Callable[[str], str | None], *, beats: int = 1) -> None:
    """Publish, work until everything is settled, leave, and beat."""
    await bus.publish("ok", id="ok")
    await bus.publish("retried", id="retried", queue="coding")
    # The last of a key is parked for longer than a lease, so that whoever recovers meets it.
    names = ("long", "longer", "longest")
    for name in names:
        await bus.publish("long", id=name, delay=0.01, ordering_key="k")
    async with working(bus):
        ends = {"ok": "done", "retried": "done", "orphan": "done", "foreign": "dead", **dict.fromkeys(names, "done")}
        await eventually(lambda: {name: state_of(name) for name in ends} == ends)
        await asyncio.sleep(0.05)  # It waits for work now, and stopping has to end that.
    # Tidying is a worker's duty as well, but once a minute.
    await bus.connection.call("trim", (), ("cortex:tasks:coding:low",))
    await bus.connection.call("forget", ("workers",), ("cortex:tasks:coding:low",))
    record = await bus.record("ok")
    assert record is not None
    for _ in range(beats // 50 + 1):
        await asyncio.gather(*(bus.heartbeat("pink") for _ in range(min(beats, 50))))


async def observer_duties(bus: Bus) -> None:
    """Look at everything that there is to see."""
    seen = await bus.observe()
    assert seen.dead_letters.total == 1
    assert seen.beats
    assert seen.events
    (letter,) = (await bus.dead_letters()).items
    assert await bus.dead_letter(letter.entry_id) == letter
    events = (await bus.events()).items
    assert await anext(bus.tail(after=f"{events[-1].ts_ms - 1}-0")) == events[-1]
    record = await bus.record("waiting")
    assert record is not None
    assert (record.state, record.owner) == (TaskState.RUNNING, "ghost")
    for lane in seen.lanes:
        await bus.reads.entries(lane.stream, Ask())
        await bus.reads.groups(lane.stream)
    await bus.reads.entries(bus.keys.delayed, Ask())
    assert (await bus.reads.pending(Ask())).total == 1
    await examine(bus.connection, bus.keys, SystemClock())
    assert (await audit(bus.connection, bus.keys)).lanes


async def operator_duties(bus: Bus) -> None:
    """Cancel what waits for its time and what runs, and requeue a dead letter."""
    sent = await bus.publish("ok", id="mine", delay=60)
    assert sent.outcome is PublishOutcome.DELAYED
    assert (await bus.reads.entries(bus.keys.delayed, Ask(newest_first=False))).items[0].task_id == "mine"
    assert await bus.cancel("mine") is CancelOutcome.CANCELLED
    assert await bus.cancel("waiting") is CancelOutcome.REQUESTED
    (letter,) = (await bus.dead_letters()).items
    (answer,) = await bus.requeue([letter.entry_id])
    assert answer.outcome is RequeueOutcome.REQUEUED
    actions = BusActions(bus)
    await actions.execute(await actions.plan(ResetGroup("normal", "workers", "start")))


async def every_action(bus: Bus) -> None:
    """Do and undo everything that an operator's screen offers."""
    actions = BusActions(bus)

    async def done(request: Request) -> None:
        plan = await actions.plan(request)
        report = await actions.execute(plan, Consent(actions.guard.demand(plan).word, "try"))
        assert report.done, report
        if plan.reversal is not Reversal.NONE:
            back = await actions.plan(UndoJob(plan.id))
            assert (await actions.execute(back)).done, back

    everything = Selector(filter="type:*")
    await done(ClaimPending(Selector(filter="agent:ghost"), override="try"))
    await done(RequeueDeadLetters(everything))
    await done(TrashLetters(everything))
    await done(SendTask(NewTask("ok", b"", "sent", delay_s=60)))
    await done(PauseLanes(("low", "@pink"), 60))
    await done(TellAgents("pink", "hello", "m-1"))
    await done(ResetGroup("normal", "workers", "start"))
    await done(SetBounds(Retention(dead_days=9)))
    assert await actions.look_at_rights() == ""
    assert len(await actions.jobs()) > 9
    assert len(await actions.records()) > 18


async def furnish(url: str, admin: Any) -> None:
    """Leave what an observer can see: a lane with a group, a queue, a dead letter, a beat, events."""
    async with Bus.connect(url) as bus:
        await bus.publish("ok", id="waiting")
        await bus.publish("ok", id="later", delay=3600)
        await bus.publish("ok", queue="coding")
        await bus.heartbeat("pink")
    admin.xgroup_create("cortex:tasks:normal", "workers", id="0")
    admin.xgroup_create("cortex:tasks:coding:normal", "workers", id="0")
    admin.xreadgroup("workers", "ghost", {"cortex:tasks:normal": ">"})
    letter = {"id": "dead", "type": "t", "payload": "1", "reason": "error", "source": "cortex:tasks:high"}
    admin.xadd("cortex:tasks:dlq", letter)
    admin.script_flush()


async def test_an_agent_lives_a_whole_life(any_engine: str, admin: Any) -> None:
    """Publish, delay, take, renew, retry, finish, dead letter, cancelled work, work of the dead: no refusal at all."""
    await prepare(any_engine, admin)
    url = user_of(admin, any_engine, "agent")
    async with Bus.connect(url, name="pink") as bus:
        await agent_duties(bus, lambda name: admin.hget(f"cortex:task:{name}", "state"))
    assert admin.acl_log() == []
    assert admin.xlen("cortex:tasks:dlq") == 1
    assert admin.hget("cortex:task:unwanted", "state") == "cancelled"
    assert not any(admin.xlen(lane) for lane in ("cortex:tasks:normal", "cortex:tasks:high", "cortex:tasks:low"))


async def test_durable_publishing_takes_a_right_more(bus_url: str, raw: Any) -> None:
    """An agent that may wait for the disk publishes durably; one that may not is told so, whatever the script cache."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as admin:
        for role, may in ((ROLES["agent"], False), (durable(ROLES["agent"]), True)):
            admin.execute_command("ACL", "SETUSER", "agent", *rules(role, "cortex", "secret"))
            admin.script_flush()
            async with Bus.connect(re.sub(r"password=.*", "username=agent&password=secret", bus_url)) as bus:
                if may:
                    assert (await bus.publish("ok", durable=True)).outcome == "queued"
                else:
                    with pytest.raises(BusError, match=r"it was added, .* permissions"):
                        await bus.publish("ok", durable=True)
        admin.acl_deluser("agent")
        admin.acl_log_reset()


async def test_an_operator_cancels_requeues_and_watches(any_engine: str, admin: Any) -> None:
    """What the console does works with the operator's rights, and so does everything that an observer does."""
    await furnish(any_engine, admin)
    async with Bus.connect(user_of(admin, any_engine, "operator"), name="harold") as bus:
        await observer_duties(bus)
        await operator_duties(bus)
    assert not [row for row in admin.acl_log() if row["object"] != "config|get"]


async def test_an_observer_sees_everything(any_engine: str, admin: Any) -> None:
    """Lanes, agents, dead letters, events and entries; the doctor says which rights it would need for the rest."""
    await furnish(any_engine, admin)
    async with Bus.connect(user_of(admin, any_engine, "observer")) as bus:
        await observer_duties(bus)
        found = await examine(bus.connection, bus.keys, SystemClock())
    assert {row["object"] for row in admin.acl_log()} == {"config|get"}
    unread = [finding for finding in found if finding.severity is Severity.UNKNOWN]
    assert unread
    assert all(finding.fix == "ACL SETUSER <user> +config|get" for finding in unread)


async def test_an_observer_changes_nothing(any_engine: str, admin: Any) -> None:
    """Every operation that writes is refused, by the client, by a plain command and from within a script."""
    await furnish(any_engine, admin)
    url = user_of(admin, any_engine, "observer")
    before = contents(any_engine)
    async with Bus.connect(url) as bus:
        (letter,) = (await bus.dead_letters()).items
        for attempt in (
            bus.publish("t"),
            bus.heartbeat("pink"),
            bus.cancel("waiting"),
            bus.requeue([letter.entry_id]),
        ):
            with pytest.raises(BusError, match="may not do this"):
                await attempt
    assert not ROLES["observer"].commands & set(admin.execute_command("ACL", "CAT", "write"))
    assert not ROLES["observer"].commands & set(admin.execute_command("ACL", "CAT", "dangerous")) - {"info"}
    with redis.Redis.from_url(url) as client:
        for words in (
            ("SET", "cortex:a", "1"),
            ("XADD", "cortex:tasks:high", "*", "type", "t"),
            ("FLUSHALL",),
            ("EVAL", "return redis.call('DEL', KEYS[1])", 1, "cortex:tasks:normal"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)
        with pytest.raises(redis.ResponseError, match=r"(?i)write|permission|can't run"):
            client.execute_command("EVAL_RO", "return redis.call('DEL', KEYS[1])", 1, "cortex:tasks:normal")
    assert contents(any_engine) == before


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_reaches_beyond_the_prefix(any_engine: str, admin: Any, role: str) -> None:
    """Another bus on the same engine is out of reach, for commands and for scripts."""
    admin.xadd("other:tasks:high", {"type": "t"})
    async with Bus.connect(user_of(admin, any_engine, role), prefix="other") as bus:
        with pytest.raises(BusError, match="may not do this"):
            await bus.publish("t")
        with pytest.raises(BusError, match="may not do this"):
            await bus.observe()


async def test_the_line_that_is_printed_makes_the_user(any_engine: str, admin: Any) -> None:
    """Pasted as it is, with a password in the place of the placeholder, the engine takes it."""
    words = shlex.split(set_user(ROLES["agent"], "cortex", "pink").replace(PASSWORD, "secret"))
    assert admin.execute_command(*words) in {True, "OK", b"OK"}
    url = re.sub(r"password=.*", "username=pink&password=secret", any_engine)
    async with Bus.connect(url) as bus:
        assert (await bus.publish("t")).outcome is PublishOutcome.QUEUED


async def lacks(admin: Any, command: str, duties: Any) -> bool:
    """Do *duties* until they end or the engine refuses *command*; say whether it did."""
    admin.execute_command("ACL", "LOG", "RESET")
    doing = asyncio.create_task(duties)

    async def refused() -> bool:
        return doing.done() or any(row["object"] == command for row in admin.acl_log())

    await eventually(refused, timeout=20)
    doing.cancel()
    await asyncio.wait([doing])
    return any(row["object"] == command for row in admin.acl_log())


ELSEWHERE = frozenset(one.command for one in (*MESSAGES, *CLUSTER))
"""Tried out in `test_acl_messages` and in `test_cluster`."""


@pytest.mark.parametrize("command", sorted(ROLES["agent"].commands - {"info"} - ELSEWHERE))
async def test_an_agent_needs_each_of_its_commands(bus_url: str, command: str) -> None:
    """Without it, the engine refuses some part of the agent's duties."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as admin:
        await prepare(bus_url, admin)

        async def duties() -> None:
            async with Bus.connect(user_of(admin, bus_url, "agent", command), name="pink") as bus:
                await agent_duties(bus, lambda name: str(admin.hget(f"cortex:task:{name}", "state")), beats=2000)

        assert await lacks(admin, command, duties())


@pytest.mark.parametrize("command", sorted(ROLES["observer"].commands - {"info"} - {one.command for one in CLUSTER}))
async def test_an_observer_needs_each_of_its_commands(bus_url: str, command: str) -> None:
    """Without it, the engine refuses some part of what there is to see."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as admin:
        await furnish(bus_url, admin)

        async def duties() -> None:
            async with Bus.connect(user_of(admin, bus_url, "observer", command)) as bus:
                await observer_duties(bus)

        assert await lacks(admin, command, duties())


async def test_an_operator_may_do_and_undo_everything(any_engine: str, admin: Any) -> None:
    """No action of the screens or of the command line meets a refusal, on no make of engine."""
    await furnish(any_engine, admin)
    async with Bus.connect(user_of(admin, any_engine, "operator"), name="operator") as bus:
        await every_action(bus)
    assert admin.acl_log() == []


async def test_who_only_observes_is_told_so_before_trying(bus_url: str) -> None:
    """The engine's rules take everything away that changes something, and the reason names them."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as admin:
        async with Bus.connect(user_of(admin, bus_url, "observer")) as bus:
            actions = BusActions(bus)
            assert "access rules" in await actions.look_at_rights()
            with pytest.raises(RefusedError, match="access rules"):
                await actions.execute(await actions.plan(PauseLanes(("high",))))


@pytest.mark.parametrize("command", [one.command for one in STEERING])
async def test_an_operator_needs_what_it_has_besides(bus_url: str, command: str) -> None:
    """Without it, the engine refuses some part of what only operators do."""
    with redis.Redis.from_url(bus_url, decode_responses=True) as admin:
        await furnish(bus_url, admin)

        async def duties() -> None:
            async with Bus.connect(user_of(admin, bus_url, "operator", command)) as bus:
                await operator_duties(bus)

        assert await lacks(admin, command, duties())


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_connects_without_info(bus_url: str, role: str) -> None:
    """The version is asked for when connecting, so without INFO nothing begins."""
    with (
        redis.Redis.from_url(bus_url, decode_responses=True) as admin,
        pytest.raises(BusError, match="may not do this"),
    ):
        async with Bus.connect(user_of(admin, bus_url, role, "info")):
            pass


CALLED_BY = {
    "look.lua": "observer",
    "delayed.lua": "observer",
    "window.lua": "observer",
    "pending.lua": "observer",
    "groups.lua": "observer",
    "find.lua": "observer",
    "census.lua": "observer",
    "census_delayed.lua": "observer",
    **dict.fromkeys(("behind.lua", "job_done.lua", "jobs.lua", "letters.lua", "states.lua"), "observer"),
    **dict.fromkeys(
        (
            *("cancel.lua", "cancel_many.lua", "cancelling.lua", "claim.lua", "drop_consumers.lua", "hand_back.lua"),
            *("job_hold.lua", "job_note.lua", "job_open.lua", "job_wish.lua", "keep_answers.lua", "moving.lua"),
            *("pause.lua", "requeue.lua", "set_bounds.lua", "set_group.lua", "set_pauses.lua", "shelve.lua"),
            *("uncancel.lua", "withdraw.lua"),
        ),
        "operator",
    ),
}
"""Who calls a script; all others are called by agents."""

SCRIPTS = {
    file.name: re.sub(r"--[^\n]*", "", file.read_text("utf-8"))
    for file in resources.files("observatory.bus").joinpath("lua").iterdir()
    if file.name.endswith(".lua")
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_of_a_script_is_granted(name: str) -> None:
    """Whoever changes a script hears which grant is missing in which role."""
    source = SCRIPTS[name]
    calls = re.findall(r"redis\.p?call\(\s*(?:'(\w+)'(?:,\s*'(\w+)')?)?", source)
    assert all(command for command, _ in calls), "the name of a command must stand in the call"
    used = {
        f"{command}|{first}".lower() if command in {"XINFO", "XGROUP", "CLIENT", "MEMORY"} else command.lower()
        for command, first in calls
    }
    role = ROLES[CALLED_BY.get(name, "agent")]
    assert used <= role.commands
    assert used <= ROLES["operator"].commands


def test_roles_grant_no_more_than_single_commands() -> None:
    """No category, no command twice, a reason for each, and the operator is little more than the sum of the others."""
    for role in ROLES.values():
        assert len(role.grants) == len(role.commands)
        assert all(grant.why for grant in role.grants)
        assert not [grant.command for grant in role.grants if not re.fullmatch(r"[a-z_]+(\|[a-z]+)?", grant.command)]
    assert ROLES["operator"].commands == ROLES["agent"].commands | ROLES["observer"].commands | {
        one.command for one in STEERING
    }


def test_a_role_or_user_that_cannot_be_one_is_refused() -> None:
    """The error names it and, for roles, those there are."""
    with pytest.raises(UsageError, match="no role 'root'") as caught:
        role_named("root")
    assert "agent, operator, observer" in caught.value.hint
    for name in ("", "a b", 'x" on nopass +@all "', "-x"):
        with pytest.raises(UsageError, match="cannot be one"):
            set_user(ROLES["agent"], "cortex", name)
