"""A bus with two ways to it: the engine itself, and a gateway for as long as the engine cannot be reached.

Whatever is published or sent carries an id that was made before the first attempt, so what went one way and was not
answered may go the other way as well: the bus knows it. A worker goes on by the way that there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from observatory.bus.client import Bus
from observatory.bus.links.link import DEADLINE_S
from observatory.bus.payloads.blobs import most_bytes, stowed
from observatory.bus.payloads.payload import Payload, written
from observatory.bus.remote.moving import MovingInbox, MovingPostman
from observatory.bus.talk.mail import WINDOW, check_agent
from observatory.bus.talk.postman import LEASE_S as MAIL_LEASE_S
from observatory.bus.talk.requests import TIMEOUT_S
from observatory.bus.tasks.worker import WorkerStats
from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.message import NewMessage
from observatory.model.snapshot import LinkState
from observatory.model.task import SHARED, NewTask, Priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from observatory.bus.partitions import Partitions
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.bus.remote.bus import RemoteBus
    from observatory.bus.talk.broadcasts import Told
    from observatory.bus.talk.mail import Inbox, Sent
    from observatory.bus.tasks.calls import CancelOutcome
    from observatory.bus.tasks.handlers import Handler
    from observatory.bus.tasks.outbox import Order
    from observatory.bus.tasks.publisher import Published
    from observatory.bus.tasks.worker import Worker
    from observatory.model.clock import Clock
    from observatory.model.message import Reply
    from observatory.model.snapshot import LinkView
    from observatory.model.task import TaskRecord, TaskResult
    from observatory.model.ticket import Ticket

NEAR_S: Final = 2.0
"""Seconds in which the engine must answer before the gateway is asked."""

PROBE_S: Final = 1.0
"""Seconds between two looks whether the engine can be reached again."""

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class FallbackBus(Bus):
    """A bus that is reached through a gateway while its engine is out of reach; see `Bus.connect`.

    Args:
        partitions: The parts of the bus.
        name: Who we are.
        clock: Where creation times come from.
        blobs: Where large payloads are stored; None to refuse them.
        far: The same bus through the gateway.
        many_inboxes: This process reads very many mailboxes.
    """

    def __init__(
        self,
        partitions: Partitions,
        name: str,
        clock: Clock,
        blobs: BlobStore | None = None,
        *,
        far: RemoteBus,
        many_inboxes: bool = False,
    ) -> None:
        super().__init__(partitions, name, clock, blobs, many_inboxes=many_inboxes)
        self._far = far
        self._probing: asyncio.Task[None] | None = None
        self._turned = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._postman = MovingPostman(self, lambda agent: self._mail_of(agent).postman, far.postman)

    @property
    def is_far(self) -> bool:
        """Whether the gateway is used now."""
        return self._probing is not None

    @property
    def link(self) -> LinkView:
        """How the link that is used stands now."""
        return self._far.link if self.is_far else super().link

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the engine, or the gateway, once.

        Raises:
            BusUnreachableError: Neither answers.
        """
        await super().open(deadline_s=deadline_s)
        self._watching = asyncio.create_task(self._watch(), name="observatory-fallback")

    async def close(self) -> None:
        """Send what is under way, then close every connection."""
        await self._postman.close()
        helpers = {task for task in (self._probing, self._watching) if task is not None}
        for task in helpers:
            task.cancel()
        if helpers:
            await asyncio.wait(helpers)
        await super().close()
        await self._far.close()

    async def turned(self) -> None:
        """Wait until the other way is used."""
        await self._turned.wait()

    async def _reach(self, deadline_s: float = NEAR_S) -> None:
        try:
            await super()._reach(min(deadline_s, NEAR_S))
        except BusUnreachableError as error:
            await self._far.open(deadline_s=deadline_s)
            self._turn_away(error)

    async def publish_many(self, tasks: Iterable[NewTask]) -> list[Published]:
        """Publish many tasks, in order; see `Bus.publish_many`."""
        wanted = [await stowed(self.blobs, task) for task in tasks]
        return await self._either(
            lambda: super(FallbackBus, self).publish_many(wanted), lambda: self._far.publish_many(wanted)
        )

    async def cancel(self, task_id: str) -> CancelOutcome:
        """Take a task back, wherever it is."""
        return await self._either(lambda: super(FallbackBus, self).cancel(task_id), lambda: self._far.cancel(task_id))

    async def record(self, task_id: str) -> TaskRecord | None:
        """Return what the bus remembers of a task; None if it remembers nothing."""
        return await self._either(lambda: super(FallbackBus, self).record(task_id), lambda: self._far.record(task_id))

    async def result(self, task_id: str) -> TaskResult | None:
        """Return how a task ended and what its handler returned; None if the bus remembers nothing of it."""
        return await self._either(lambda: super(FallbackBus, self).result(task_id), lambda: self._far.result(task_id))

    async def tickets(self, ident: str) -> list[Ticket]:
        """Return what became of the task or message whose id is *ident*; none if unknown."""
        return await self._either(lambda: super(FallbackBus, self).tickets(ident), lambda: self._far.tickets(ident))

    async def heartbeat(self, agent: str, **said: Any) -> None:  # noqa: ANN401 - see Bus.heartbeat
        """Say that *agent* lives; see `Bus.heartbeat`."""
        await self._either(
            lambda: super(FallbackBus, self).heartbeat(agent, **said), lambda: self._far.heartbeat(agent, **said)
        )

    async def send_message(self, agent: str, payload: Payload = None, **more: Any) -> Sent:  # noqa: ANN401 - see Bus
        """Put a message into one agent's mailbox; see `Bus.send_message`."""
        body, content_type = written(payload, most=most_bytes(self.blobs))
        ident, sender = more.pop("id", None) or uuid.uuid4().hex, more.pop("sender", None)
        if (ttl := more.pop("ttl", None)) is not None:
            more["ttl_s"] = ttl
        signed = self.name if sender is None else sender
        return await self.post(NewMessage(body, ident, to=agent, sender=signed, content_type=content_type, **more))

    async def post(self, message: NewMessage) -> Sent:
        """Send one message that is complete with its id; see `send_message`."""
        return await self._either(lambda: super(FallbackBus, self).post(message), lambda: self._far.post(message))

    def inbox(self, agent: str, *, window: int = WINDOW, lease_s: float = MAIL_LEASE_S) -> Inbox:
        """Return the mailbox of a local agent, to iterate over; each message waits for `ack`."""
        check_agent("agent", agent)
        stream = self.partitions.of(agent).keys.mailbox(agent)
        return MovingInbox(self._postman, stream, agent, window, lease_s, blobs=self.blobs)

    async def broadcast(
        self,
        payload: Payload = None,
        *,
        type: str = "",  # noqa: A002 - the field's name on the wire
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        correlation_id: str = "",
    ) -> Told:
        """Tell all agents; see `Bus.broadcast`."""
        said: dict[str, str] = {"type": type, "id": id or uuid.uuid4().hex, "correlation_id": correlation_id}
        return await self._either(
            lambda: super(FallbackBus, self).broadcast(payload, **said), lambda: self._far.broadcast(payload, **said)
        )

    async def request(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        payload: Payload = None,
        *,
        queue: str = SHARED,
        priority: Priority = Priority.NORMAL,
        timeout: float = TIMEOUT_S,
        wait: bool = False,
    ) -> Reply:
        """Publish a task and wait for what its handler returns; see `Bus.request`.

        A request that began at the engine ends there.
        """
        way = self._far.request if self.is_far or self.link.state is LinkState.LOST else super().request
        return await way(type, payload, queue=queue, priority=priority, timeout=timeout, wait=wait)

    def worker(self, agent: str, handlers: Mapping[str, Handler], **options: Any) -> Worker:  # noqa: ANN401 - see Worker
        """Make a worker for *agent*, which has `run`, `stop`, `stats` and `running` as every worker.

        It takes the options that a worker behind a gateway takes.
        """
        near = super().worker

        def make() -> Worker:
            return self._far.worker(agent, handlers, **options) if self.is_far else near(agent, handlers, **options)

        return cast("Worker", FallbackWorker(self, agent, make))

    async def _publish_now(self, order: Order) -> Published:
        return await self._either(
            lambda: super(FallbackBus, self)._publish_now(order),
            lambda: self._far._publish_now(order),  # noqa: SLF001 - the same client
        )

    async def _either(self, near: Callable[[], Awaitable[Answer]], far: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what the engine answers, or, if it does not in time, what it answers to the gateway."""
        if not self.is_far:
            scope = asyncio.timeout(NEAR_S)
            try:
                async with scope:
                    return await near()
            except BusUnreachableError as error:
                problem: Exception = error
            except TimeoutError as error:
                if not scope.expired():
                    raise
                problem = error
            await self._far.open()
            self._turn_away(problem)
        return await far()

    def _turn_away(self, problem: Exception) -> None:
        if self._probing is None:
            log.warning("the engine is out of reach (%s): through the gateway until it is back", problem)
            self._probing = asyncio.create_task(self._probe(), name="observatory-fallback")
            self._turn()

    async def _watch(self) -> None:
        """Turn away from an engine that stays lost, also where nothing is sent that would find out."""
        lost_for = 0.0
        while True:
            await asyncio.sleep(PROBE_S / 2)
            lost_for = lost_for + PROBE_S / 2 if super().link.state is LinkState.LOST else 0.0
            if lost_for >= NEAR_S and not self.is_far:
                with contextlib.suppress(BusError):
                    await self._far.open()
                    self._turn_away(BusUnreachableError(super().link.reason))

    async def _probe(self) -> None:
        """Use the engine again as soon as it answers."""
        while True:
            await asyncio.sleep(PROBE_S)
            with contextlib.suppress(BusError):
                await super()._reach(PROBE_S)
                await self.connection.command("PING", deadline_s=PROBE_S)
                self._probing = None
                self._turn()
                return

    def _turn(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()


class FallbackWorker:
    """A worker that goes on by the way that there is.

    Args:
        bus: The bus with two ways.
        agent: Name of the agent.
        make: Makes a worker for the way that is used now.
    """

    def __init__(self, bus: FallbackBus, agent: str, make: Callable[[], Worker]) -> None:
        self.agent = agent
        self._bus = bus
        self._make = make
        self._workers: list[Worker] = []
        self._stopping = asyncio.Event()

    @property
    def stats(self) -> WorkerStats:
        """What it has done since it started, by both ways."""
        names = WorkerStats.__dataclass_fields__
        return WorkerStats(*(sum(getattr(worker.stats, name) for worker in self._workers) for name in names))

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return sum(worker.running for worker in self._workers)

    async def run(self, *, drain_s: float = 30.0) -> None:
        """Work until `stop` is called, then let running handlers finish, and leave.

        What runs while the way changes may finish as well; what it says then counts if its lease still holds.
        """
        leaving: set[asyncio.Task[None]] = set()
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                turned = asyncio.create_task(self._bus.turned())
                worker = self._make()
                self._workers.append(worker)
                leaving.add(running := asyncio.create_task(worker.run(drain_s=drain_s)))
                await asyncio.wait({running, turned, stopped}, return_when=asyncio.FIRST_COMPLETED)
                turned.cancel()
                worker.stop()
                if running.done() and not self._stopping.is_set():
                    await running
            await asyncio.gather(*leaving)
        finally:
            for task in (stopped, *leaving):
                task.cancel()

    def stop(self) -> None:
        """Take nothing more; `run` returns when the running handlers are done."""
        self._stopping.set()
