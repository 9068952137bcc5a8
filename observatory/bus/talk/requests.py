"""Requests: publish a task and wait for what its handler returns.

All requests of a process share one stream of replies and one read that waits on it; on a cluster, one in each
partition that a task of theirs went to. Nobody to answer, a deadline that passed and a task that failed are three
errors with three names.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from observatory.bus.partitions import everywhere
from observatory.bus.payloads.blobs import fetched, most_bytes
from observatory.bus.payloads.payload import Payload, written
from observatory.bus.talk.waiting import BLOCK_MS, WaitingReader
from observatory.model.errors import BusError, BusUnreachableError, UsageError
from observatory.model.message import Reply, ReplyStatus, read_reply
from observatory.model.task import MAX_TTL_S, SHARED, NewTask, Priority, is_queue_name
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from observatory.bus.links.link import Link
    from observatory.bus.partitions import Partition, Partitions
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.model.clock import Clock

TIMEOUT_S: Final = 30.0
"""Seconds that a request waits for its reply unless it says otherwise."""

REPLIES_KEPT_MS: Final = 3_600_000
"""Milliseconds after which replies that nobody reads are gone: their process died."""

_RENEW_S: Final = 60.0
_PAGE: Final = 100

log = logging.getLogger(__name__)


class NoResponder(BusError):  # noqa: N818 - it reads as the fact that it is
    """Nobody alive serves the queue of a request; nothing was published."""


class RequestTimeout(BusError):  # noqa: N818 - it reads as the fact that it is
    """A request was not answered before its deadline; its task has expired, or an answer will come too late."""


class RequestFailed(BusError):  # noqa: N818 - it reads as the fact that it is
    """The task of a request became a dead letter, or was cancelled.

    Args:
        reply: What was answered.
    """

    def __init__(self, reply: Reply) -> None:
        words = {ReplyStatus.DEAD: "became a dead letter", ReplyStatus.CANCELLED: "was cancelled"}
        ended = next((said for status, said in words.items() if status == reply.status), line(reply.status, 64))
        why = f": {line(reply.error)}" if reply.error else ""
        super().__init__(f"request {reply.task_id} {ended}{why}")
        self.reply = reply


@dataclass(slots=True)
class RequestStats:
    """What became of replies.

    Attributes:
        answered: Replies that somebody waited for.
        late: Replies that nobody waited for any more, or that came twice; they were dropped.
    """

    answered: int = 0
    late: int = 0


class Requests:
    """Requests over one bus.

    Args:
        partitions: The parts of the bus.
        name: Who asks.
        clock: Where creation times come from.
        publish: Publishes a task, repeats included.
        blobs: Where large payloads are; None for nowhere.
    """

    def __init__(
        self,
        partitions: Partitions,
        name: str,
        clock: Clock,
        publish: Callable[[NewTask], Awaitable[Any]],
        *,
        blobs: BlobStore | None = None,
    ) -> None:
        self.stats = RequestStats()
        self._partitions = partitions
        self._name = name
        self._clock = clock
        self._publish = publish
        self._blobs = blobs
        self._boot = uuid.uuid4().hex
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}
        self._replies: dict[int | None, Replies] = {}
        self._closing = False

    async def request(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        payload: Payload = None,
        *,
        queue: str = SHARED,
        priority: Priority | str = Priority.NORMAL,
        timeout: float = TIMEOUT_S,
        wait: bool = False,
        sender: str | None = None,
        correlation_id: str = "",
    ) -> Reply:
        """Publish a task and return what its handler answers.

        Args:
            type: Kind of work.
            payload: Bytes or text as they are; anything else is written as JSON.
            queue: Who is to answer: `shared`, a capability (`coding`) or an agent (`@pink`).
            priority: One of the four lanes.
            timeout: Seconds to wait for the answer; the task is stale after them.
            wait: Publish even if nobody serves the queue now; somebody may come before the deadline. Before Redis 7.2
                an engine does not know of foreign consumers that never got anything: let who asks them wait.
            sender: Who asks; the bus's name by default.
            correlation_id: Ties a family of tasks and messages together; the task's id if not given.

        Raises:
            UsageError: A field cannot be taken; the message begins with its name.
            NoResponder: Nobody alive serves the queue; nothing was published.
            RequestTimeout: The deadline passed.
            RequestFailed: The task became a dead letter, or was cancelled; the reply is in its `reply`.
            BusBusyError: The lane is full; nothing was added.
            BlobError: The answer is large, and cannot be had from the blob store.
        """
        if not 0 < timeout <= MAX_TTL_S:
            raise UsageError(f"timeout: {timeout} s, must be above zero and at most {MAX_TTL_S} s")
        if not is_queue_name(queue):
            raise UsageError(f"queue: {line(queue, 64)!r} cannot name one")
        if priority not in tuple(Priority):
            raise UsageError(f"priority: {line(priority, 64)!r} is none of {', '.join(Priority)}")
        body, content_type = written(payload, most=most_bytes(self._blobs))
        ident = uuid.uuid4().hex
        task = NewTask(
            type,
            body,
            ident,
            queue=queue,
            priority=Priority(priority),
            sender=self._name if sender is None else sender,
            content_type=content_type,
            created_ms=self._clock.now_ms(),
            ttl_s=timeout,
            correlation_id=correlation_id or ident,
        )
        return await self.request_task(task, wait=wait)

    async def request_task(self, task: NewTask, *, wait: bool = False) -> Reply:
        """Publish *task*, whose id must be new and whose ttl is the deadline, and return the answer; see `request`."""
        partition = self._partitions.of(task.id)
        replies = self._replies_in(partition)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[task.id] = future
        scope = asyncio.timeout(task.ttl_s)
        try:
            async with scope:
                if not wait:
                    await self._check_served(task, partition)
                await self._publish(replace(task, reply_to=replies.stream))
                reply = await future
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise RequestTimeout(
                f"request {task.id} was not answered within {task.ttl_s:g} s", "ask with a longer timeout"
            ) from error
        finally:
            del self._waiting[task.id]
        if reply.status != ReplyStatus.DONE:
            raise RequestFailed(reply)
        body, content_type = await fetched(self._blobs, reply.payload, reply.content_type)
        return replace(reply, payload=body, content_type=content_type)

    async def close(self) -> None:
        """Fail what still waits, and close the connections; the streams of replies are removed."""
        self._closing = True
        self._fail_all(BusError("the bus was closed while a request waited"))
        if self._asking:
            await asyncio.wait(self._asking.values())
        await asyncio.gather(*(replies.close() for replies in self._replies.values()))

    async def _check_served(self, task: NewTask, partition: Partition) -> None:
        """Refuse a task whose queue nobody serves; requests made at once share the question."""
        stream = partition.keys.lane(task.lane)
        asking = self._asking.get(stream)
        if asking is None:
            asking = asyncio.create_task(self._is_served(task, partition))
            self._asking[stream] = asking
            asking.add_done_callback(lambda _: self._asking.pop(stream))
        # Who gives up gives up for itself.
        if not await asyncio.shield(asking):
            raise NoResponder(f"nobody alive serves the queue {task.queue}", "start a worker, or ask with wait")

    async def _is_served(self, task: NewTask, partition: Partition) -> bool:
        if await partition.link.call("responders", (task.queue, partition.keys.lane(task.lane))):
            return True
        others = [other for other in self._partitions if other is not partition]
        # Heartbeats stand in the partition of their agent: whoever serves this queue may beat in any.
        answers = await everywhere(others, "responders", lambda other: (task.queue, other.keys.lane(task.lane)))
        return any(served for served, _ in answers)

    def _replies_in(self, partition: Partition) -> Replies:
        if self._closing:
            raise BusError("the bus is closed")
        if (replies := self._replies.get(partition.number)) is None:
            stream = partition.keys.replies(self._boot)
            replies = Replies(partition.link, stream, self._clock, self._answered, self._fail_all)
            self._replies[partition.number] = replies
        return replies

    def _answered(self, reply: Reply) -> None:
        # A foreign worker may echo the correlation id alone.
        future = self._waiting.get(reply.task_id) or self._waiting.get(reply.correlation_id)
        if future is None or future.done():
            self.stats.late += 1
        else:
            self.stats.answered += 1
            future.set_result(reply)

    def _fail_all(self, error: BusError) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


class Replies:
    """One stream of replies, and the read that waits on it, from now on until it is closed.

    Args:
        link: The link to the engine.
        stream: The stream, which nobody else reads.
        clock: Paces the renewal of its life.
        answered: Called with each reply.
        failed: Called when replies cannot be read at all.
    """

    def __init__(
        self,
        link: Link,
        stream: str,
        clock: Clock,
        answered: Callable[[Reply], None],
        failed: Callable[[BusError], None],
    ) -> None:
        self.stream = stream
        self._link = link
        self._clock = clock
        self._answered = answered
        self._failed = failed
        self._last = "0-0"
        self._renew_at = -1.0
        self._closing = False
        self._reader = WaitingReader(link)
        self._running = asyncio.create_task(self._run(), name="observatory-replies")

    async def close(self) -> None:
        """Close the connection; the stream is removed."""
        self._closing = True
        self._reader.wake()
        await asyncio.wait({self._running})
        await self._reader.close()
        try:
            await self._link.command("UNLINK", self.stream, deadline_s=1.0)
        except BusError as error:
            log.warning("replies: %s", error)

    async def _run(self) -> None:
        failures = 0
        while not self._closing:
            try:
                reply = await self._reader.read(
                    lambda: ("XREAD", "COUNT", _PAGE, "BLOCK", BLOCK_MS, "STREAMS", self.stream, self._last)
                )
                if reply:
                    await self._take_in(reply[0][1])
            except BusUnreachableError as error:
                failures += 1
                log.warning("replies: %s", error)
                await asyncio.sleep(min(0.02 * 2**failures, 2.0) * random.uniform(0.5, 1.5))
            except BusError as error:
                log.warning("replies: %s", error)
                self._failed(error)
                await asyncio.sleep(random.uniform(0.5, 1.5))
            else:
                failures = 0

    async def _take_in(self, rows: Any) -> None:  # noqa: ANN401 - the engine's reply
        for ident, flat in rows:
            self._last = ident.decode()
            self._answered(read_reply(self._last, pairs(flat)))
        await self._link.command("XDEL", self.stream, *(ident for ident, _ in rows))
        if (now := self._clock.monotonic()) > self._renew_at:
            await self._link.command("PEXPIRE", self.stream, REPLIES_KEPT_MS)
            self._renew_at = now + _RENEW_S
