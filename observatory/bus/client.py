"""`Bus`: the one object an agent's author, the app and the gateway need."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from observatory.bus.care.api_keys import ApiKeys
from observatory.bus.control import Doorbell, Heard
from observatory.bus.links.address import masked
from observatory.bus.links.link import DEADLINE_S
from observatory.bus.moves.calls import MoveCalls
from observatory.bus.partitions import Partitions
from observatory.bus.payloads.blobs import BlobStore
from observatory.bus.reads.calls import ReadCalls
from observatory.bus.talk.calls import TalkCalls
from observatory.bus.tasks.calls import CancelOutcome
from observatory.bus.tasks.lease import LeaseKeeper
from observatory.bus.tasks.outbox import Outbox
from observatory.bus.tasks.worker import Worker
from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from observatory.bus.tasks.handlers import Handler
    from observatory.model.snapshot import LinkView

__all__ = ["Bus", "CancelOutcome"]

GATEWAY_SCHEMES = frozenset({"http", "https", "ws", "wss"})
"""Schemes of addresses that lead through a gateway."""

log = logging.getLogger(__name__)


class Bus(TalkCalls, ReadCalls, MoveCalls):
    """A connection to one bus. Make it with `Bus.connect` and use it as an asynchronous context manager.

    Every method raises `BusError` when the engine refuses, and `BusUnreachableError` when it does not answer in time.

    What it can do stands in its parts: `tasks.calls`, `talk.calls`, `reads.calls` and `moves.calls`.

    Args:
        partitions: The parts of the bus.
        name: Who we are, where an event or a task asks for it.
        clock: Where creation times come from.
        blobs: Where large payloads are stored; None to refuse them.
        outbox: Folder where tasks wait while the bus is out of reach; None to refuse them.
        many_inboxes: This process reads very many mailboxes; see `connect`.
    """

    def __init__(
        self,
        partitions: Partitions,
        name: str,
        clock: Clock,
        blobs: BlobStore | None = None,
        *,
        outbox: Path | None = None,
        many_inboxes: bool = False,
    ) -> None:
        super().__init__(partitions, name, clock, blobs, many_inboxes=many_inboxes)
        self._reached = False
        if outbox is not None:
            self._outbox = Outbox(
                outbox, self._publish_now, lambda: self._reached and self.link.state is not LinkState.LOST
            )
        self._keeper: LeaseKeeper | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._doorbell = Doorbell(partitions)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        prefix: str = "cortex",
        name: str = "",
        clock: Clock | None = None,
        blobs: str | Path | None = None,
        outbox: str | Path | None = None,
        many_inboxes: bool = False,
        fallback: str = "",
    ) -> Self:
        """Prepare a connection; entering the context opens it.

        Args:
            url: `redis://`, `unix://`, `redis+sentinel://`, `redis+cluster://`, with TLS `rediss…`, with credentials
                and database in it; or `http://` or `https://` of a gateway, with its key in the password's place. On a
                cluster a bus that is not there yet is made, with as many partitions as `?partitions=` says, or with
                equal shares for its nodes.
            prefix: First part of every key.
            name: Who we are; `<user>@<host>` by default.
            clock: Where times come from; the system's by default.
            blobs: Folder, or fsspec URL, for payloads above 256 KB, results and messages included, which then travel
                as claim checks; all agents that share them need the same store.
            outbox: Folder of this process alone, where what is published waits while the bus is out of reach, also
                before it was reached at all: `publish` then answers `stored` once the task is on disk, and the tasks
                are sent in order, each once, when the bus answers, by this process or by the next that uses the
                folder. Their time to live begins when they arrive.
            many_inboxes: This process reads very many mailboxes, up to 20,000: whoever sends by the bus client rings,
                and only where it rang is read; what others add is found within a second.
            fallback: Address of a gateway that is used while the engine cannot be reached: what is published, sent or
                asked, workers and inboxes go that way then, and come back.

        Raises:
            UsageError: *url*, *prefix* or *fallback* cannot be one, or an outbox is wanted beside a fallback.
        """
        chosen = clock or SystemClock()
        who = name or f"{os.environ.get('USER', 'operator')}@{socket.gethostname()}"
        store = BlobStore.open(blobs) if blobs else None
        folder = Path(outbox).expanduser().absolute() if outbox else None
        is_far, has_far = (urlsplit(one).scheme in GATEWAY_SCHEMES for one in (url, fallback))
        if fallback and (is_far or not has_far or folder is not None):
            raise UsageError(
                f"fallback: {masked(fallback)!r} cannot be one here",
                "the http:// address of a gateway, beside the address of an engine and without an outbox",
            )
        if is_far or has_far:
            from observatory.bus.remote.bus import RemoteBus  # noqa: PLC0415 - who speaks to the engine needs none
            from observatory.bus.remote.channel import Channel  # noqa: PLC0415
            from observatory.bus.remote.fallback import FallbackBus  # noqa: PLC0415

            far = RemoteBus(
                Channel(url if is_far else fallback, chosen), who, chosen, store, outbox=folder, signature=name or None
            )
            if is_far:
                return cast("Self", far)
            parts = Partitions(url, prefix, chosen)
            return cast("Self", FallbackBus(parts, who, chosen, store, far=far, many_inboxes=many_inboxes))
        return cls(Partitions(url, prefix, chosen), who, chosen, store, outbox=folder, many_inboxes=many_inboxes)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Reach the engine once; with an outbox, go on without it, and reach it later.

        Raises:
            BusUnreachableError: Nothing answers, what answers is no Redis, or the credentials are refused.
            UsageError: The URL asks for another number of partitions than the bus has, or the outbox cannot be used.
        """
        try:
            try:
                await self._reach(deadline_s)
            except BusUnreachableError as error:
                if self._outbox is None:
                    raise
                log.warning("%s: what is published waits in the outbox", error)
            if self._outbox is not None:
                await self._outbox.open(self._reach)
        except BaseException:
            await self.partitions.close()
            raise

    async def _reach(self, deadline_s: float = DEADLINE_S) -> None:
        if self._reached:
            return
        await self.partitions.open(deadline_s=deadline_s)
        seconds, micros = await self.connection.command("TIME", deadline_s=deadline_s)
        self.skew_ms = int(seconds) * 1000 + int(micros) // 1000 - self.clock.now_ms()
        self._reached = True

    def _is_up(self) -> bool:
        return self._reached and self.link.state is not LinkState.LOST

    @property
    def api_keys(self) -> ApiKeys:
        """The keys that open the gateways of this bus."""
        return ApiKeys(self.partitions.seat, self.clock)

    @property
    def stored(self) -> int:
        """Tasks that wait in the outbox."""
        return 0 if self._outbox is None else len(self._outbox)

    async def close(self) -> None:
        """Send what is under way, then close every connection."""
        if self._background:
            await asyncio.wait(self._background, timeout=2.0)
        if self._outbox is not None:
            await self._outbox.close()
        await self._publishers.close()
        await self._close_talk()
        await self._doorbell.close()
        if self._keeper is not None and self._pulse is not None:
            self._keeper.stop()
            self._pulse.cancel()
            self._keeper = self._pulse = None
        for task in list(self._background):
            task.cancel()
        await self.partitions.close()

    @property
    def link(self) -> LinkView:
        """How the link stands now."""
        return self.partitions.view

    @property
    def url(self) -> str:
        """The address, with its secret masked."""
        return self.partitions.url

    def worker(self, agent: str, handlers: Mapping[str, Handler], **options: Any) -> Worker:  # noqa: ANN401 - see Worker
        """Make a worker for *agent*; its options are those of `Worker`. Start it with `run`."""
        return Worker(self, agent, handlers, **options)

    def keeper(self, lease_s: float) -> LeaseKeeper:
        """Return the lease keeper of this process, started; the shortest lease decides its pace."""
        if self._keeper is None:
            self._keeper = LeaseKeeper(lease_s=lease_s)
            self._keeper.start()
            self._pulse = asyncio.create_task(_show_life(self._keeper), name="observatory-alive")
        self._keeper.keep_pace(lease_s)
        return self._keeper

    def listen(self, heard: Heard) -> None:
        """Call *heard* for every word on the control doorbell; workers use it."""
        self._doorbell.listen(heard)

    def unlisten(self, heard: Heard) -> None:
        """Do not call *heard* any more."""
        self._doorbell.unlisten(heard)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold *task* until it is done; closing the bus gives it a moment to finish."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _show_life(keeper: LeaseKeeper) -> None:
    while True:
        keeper.alive()
        await asyncio.sleep(0.5)
