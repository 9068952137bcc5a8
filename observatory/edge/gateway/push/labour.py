"""Tasks over one socket: a worker of the bus whose handlers are the client at the other end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from observatory.bus import DoNotRetry, Snooze
from observatory.edge.gateway.documents import task_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.bus import Bus, TaskContext, Worker
    from observatory.bus.tasks.delivery import Settlement
    from observatory.edge.gateway.documents import Document
    from observatory.model.task import Task


class ClientFailed(Exception):  # noqa: N818 - it is the client's word, and stands in the dead letter
    """The client said that a task failed."""


@dataclass(slots=True)
class _Pushed:
    """A task that is with the client."""

    task: Task
    context: TaskContext
    ended: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Labour:
    """The tasks of one socket. Leases, fencing, retries and cancels are those of every worker.

    Args:
        bus: The bus.
        agent: Who works.
        tell: Pushes a document: its kind, and the key under which it is told again.
        raw: Show payloads in Base64.
    """

    def __init__(self, bus: Bus, agent: str, tell: Callable[[Document, str, str], None], *, raw: bool) -> None:
        self._bus = bus
        self._agent = agent
        self._tell = tell
        self._raw = raw
        self._pushed: dict[str, _Pushed] = {}
        self._worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started."""
        return self._worker is not None

    def start(self, slots: int, queues: tuple[str, ...], version: str) -> None:
        """Push tasks of the agent's own queue and of *queues*, *slots* at a time."""
        self._worker = self._bus.worker(
            self._agent,
            {"*": self._handle},
            queues=queues,
            concurrency=slots,
            version=version,
            on_settled=self._settled,
        )
        self._running = asyncio.create_task(self._worker.run(drain_s=0.0), name=f"gateway-worker-{self._agent}")

    async def stop(self) -> None:
        """Take nothing more, and give back what is with the client."""
        if self._worker is not None and self._running is not None:
            self._worker.stop()
            await asyncio.wait({self._running})

    def done(self, task_id: str, result: Any) -> bool:  # noqa: ANN401 - any JSON
        """End a task well; False if it is not with this client."""
        return self._end(task_id, lambda ended: ended.set_result(result))

    def failed(self, task_id: str, error: str, *, retry: bool) -> bool:
        """End a task badly."""
        kind = ClientFailed if retry else DoNotRetry
        return self._end(task_id, lambda ended: ended.set_exception(kind(error or "failed")))

    def snoozed(self, task_id: str, seconds: float) -> bool:
        """Have a task come again later."""
        return self._end(task_id, lambda ended: ended.set_exception(Snooze(seconds)))

    async def progress(self, task_id: str, share: float, note: str) -> bool:
        """Write down how far a task is."""
        pushed = self._pushed.get(task_id)
        if pushed is not None:
            await pushed.context.progress(share, note)
        return pushed is not None

    def document(self, task_id: str) -> Document | None:
        """Return a task that is with the client as it is pushed; None if it is not."""
        pushed = self._pushed.get(task_id)
        if pushed is None:
            return None
        shown = task_document(pushed.task, pushed.task.id, pushed.context.deliveries, raw=self._raw)
        return {"op": "task", "task": shown}

    def _end(self, task_id: str, how: Callable[[asyncio.Future[Any]], None]) -> bool:
        pushed = self._pushed.get(task_id)
        if pushed is None or pushed.ended.done():
            return False
        how(pushed.ended)
        return True

    async def _handle(self, task: Task, context: TaskContext) -> Any:  # noqa: ANN401 - any JSON
        pushed = self._pushed[task.id] = _Pushed(task, context)
        document = self.document(task.id)
        assert document is not None  # noqa: S101 - it has just been put there
        self._tell(document, "task", task.id)
        try:
            return await pushed.ended
        except asyncio.CancelledError:
            if context.cancelled:
                self._tell({"op": "cancel", "taskId": task.id}, "cancel", "")
            raise
        finally:
            if self._pushed.get(task.id) is pushed:
                del self._pushed[task.id]

    def _settled(self, settlement: Settlement, answer: str) -> None:
        document = {"op": "settled", "taskId": settlement.task_id, "outcome": str(settlement.outcome), "answer": answer}
        self._tell(document, "settled", "")
