"""An engine and agents as real processes, to start, kill, stop and bring back; and what they wrote down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import redis

from observatory.bus import Bus
from observatory.engine import Engine
from tests.conftest import eventually
from tests.faults.verdict import History, drained, nothing_left, verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from observatory.bus import Worker
    from observatory.model.task import Task

ROOT = Path(__file__).parents[2]

JUDGES = 2
"""Connections of the rig itself when it counts who is still there: its own plain client's, and one to spare."""


class Notes:
    """A handler of this process: writes down what it began, then does what it was made for."""

    def __init__(self, then: Callable[[Task], Awaitable[None]] | None = None) -> None:
        self.tasks: list[Task] = []
        self._then = then

    async def __call__(self, task: Task, _context: object) -> None:
        """Note the task."""
        self.tasks.append(task)
        if self._then is not None:
            await self._then(task)

    @property
    def begun(self) -> Counter[str]:
        """How often each task was begun."""
        return Counter(task.id for task in self.tasks)


class Agent:
    """One worker process (see `agent.py`).

    Args:
        url: Where its bus is.
        name: Agent name.
        journal: File that it writes to.
        settings: What else `agent.py` understands.
        options: Options of its worker.
    """

    def __init__(self, url: str, name: str, journal: Path, settings: dict[str, Any], options: dict[str, Any]) -> None:
        self.journal = journal
        orders = {"agent": name, "journal": str(journal), "options": options, **settings}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.agent", json.dumps(orders)],
            cwd=ROOT,
            env={**os.environ, "FAULTS_URL": url},
        )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def lines(self, what: str) -> list[dict[str, Any]]:
        """What it wrote down of one sort, oldest first."""
        if not self.journal.exists():
            return []
        found = map(json.loads, self.journal.read_text().splitlines())
        return [line for line in found if line["what"] == what]

    @property
    def begun(self) -> list[str]:
        """Tasks that it began, in order."""
        return [line["task"] for line in self.lines("began")]

    @property
    def in_hand(self) -> Counter[str]:
        """Tasks that it began and has not ended."""
        over = Counter(line["task"] for line in (*self.lines("ended"), *self.lines("cancelled")))
        return Counter(self.begun) - over

    @property
    def stats(self) -> dict[str, int]:
        """Its worker's own counts, as last written."""
        return next(iter(self.lines("stats")[::-1]), {})

    async def up(self) -> None:
        """Wait until it is about to work."""
        await eventually(lambda: self.lines("up"), timeout=20)

    async def busy(self) -> None:
        """Wait until it has a task in hand."""
        await eventually(lambda: self.in_hand, timeout=30)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self, timeout: float = 20.0) -> int:
        """Wait for its end and return its exit code."""
        return await asyncio.to_thread(self._process.wait, timeout)

    def clear_away(self) -> None:
        """End it if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


class Rig:
    """An engine with its agents, and the history that the judge needs.

    Args:
        binary: Engine program; the shipped one if None.
    """

    def __init__(self, binary: Path | None = None) -> None:
        # A short path, so that the engine keeps its unix socket, and with it its address, over a restart.
        self.directory = Path(tempfile.mkdtemp(prefix="faults-"))
        self.engine = Engine(self.directory / "engine", binary=binary)
        self.history = History()
        self.agents: list[Agent] = []
        self.notes: list[Notes] = []
        self._raw: redis.Redis | None = None

    def __enter__(self) -> Self:
        self.engine.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for agent in self.agents:
            agent.clear_away()
        if self._raw is not None:
            self._raw.close()
        self.engine.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def url(self) -> str:
        """Address of the engine."""
        return self.engine.url

    @property
    def raw(self) -> Any:
        """A plain client of the engine, as a foreign agent or a judge would use."""
        if self._raw is None:
            self._raw = redis.Redis.from_url(self.url, decode_responses=True)
        return self._raw

    def kill_engine(self) -> None:
        """End the engine by SIGKILL."""
        assert self.engine.pid is not None
        os.kill(self.engine.pid, signal.SIGKILL)
        self.engine.stop()

    async def start_engine(self) -> None:
        """Start the engine again."""
        await asyncio.to_thread(self.engine.start)

    def reconnect(self) -> None:
        """Forget the plain client's connection, which an engine took with it."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def forget(self, task: str) -> None:
        """Let the judge know that whoever deleted the keys deleted all trace of *task*."""
        self.history.acknowledged.discard(task)

    def spawn(self, name: str, *, url: str = "", settings: dict[str, Any] | None = None, **options: Any) -> Agent:
        """Start an agent; *options* are its worker's."""
        journal = self.directory / f"{name}-{len(self.agents)}.jsonl"
        agent = Agent(url or self.url, name, journal, settings or {}, options)
        self.agents.append(agent)
        return agent

    async def kill(self, agent: Agent) -> None:
        """End an agent by SIGKILL, and let the judge know."""
        self.history.disturbed.add(f":{agent.pid}:")
        agent.signal(signal.SIGKILL)
        await agent.ended()

    def freeze(self, agent: Agent) -> None:
        """Stop an agent in the middle of whatever it does, and let the judge know."""
        self.history.disturbed.add(f":{agent.pid}:")
        agent.signal(signal.SIGSTOP)

    async def dismiss(self, *agents: Agent) -> None:
        """Let agents stop gracefully."""
        for agent in agents:
            agent.signal(signal.SIGTERM)
        for agent in agents:
            assert await agent.ended() == 0

    @contextlib.asynccontextmanager
    async def working(self, bus: Bus, name: str, handler: Notes, **options: Any) -> AsyncIterator[Worker]:
        """Run a worker in this process for the length of a block, serving every type with *handler*."""
        if handler not in self.notes:
            self.notes.append(handler)
        worker = bus.worker(name, {"*": handler}, **options)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running

    async def publish(self, bus: Bus, kind: str, payload: object = None, **options: Any) -> str:
        """Publish a task and note that it was acknowledged, and its ordering key."""
        if key := options.get("ordering_key"):
            options.setdefault("id", uuid.uuid4().hex)
            self.history.keys[options["id"]] = key
        answer = await bus.publish(kind, json.dumps(payload or {}), **options)
        self.history.acknowledged.add(answer.id)
        return answer.id

    async def judge(self, *, timeout: float = 30.0) -> None:
        """Wait for the drain, then assert I1 to I7; every other client of the engine must be gone by then."""
        for begun in (*(agent.begun for agent in self.agents), *(notes.begun.elements() for notes in self.notes)):
            self.history.begun.update(begun)
        async with Bus.connect(self.url, name="judge") as bus:
            await drained(bus, self.raw, timeout=timeout)
            breaches = await verdict(bus, self.raw, self.history)
        assert not breaches, "\n".join(breaches)
        await nothing_left(self.raw, JUDGES - 1)


async def begun(agent: Agent, count: int = 1, timeout: float = 20.0) -> list[str]:
    """Wait until *agent* has begun *count* tasks, and return them all."""
    await eventually(lambda: len(agent.begun) >= count, timeout)
    return agent.begun
