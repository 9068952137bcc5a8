"""The director: one process that starts the swarm, stages its incidents and ends it.

Its first order is the whole piece: where the engine is, how the swarm should be. `stop` ends it gently; the end of
its standard input means that whoever started it is gone, and then everything ends: agents, engine, directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from observatory.demo.cast import Actor
from observatory.demo.journal import LOG, SCRATCH
from observatory.demo.lifeline import Lifeline, Order
from observatory.demo.office import Brief
from observatory.demo.options import DemoOptions
from observatory.demo.proxy import Proxy
from observatory.demo.roster import ADDRESSED, Role, assemble, house
from observatory.demo.script import Cue, Tempo, cues
from observatory.engine.process import ProcessId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from typing import IO

    from observatory.demo.roster import Host

_CURTAIN_S = 6.0
"""Seconds that agents have to finish what they have in hand, before they are killed."""

_SWEEP_S = 5.0
"""Seconds that an engine without an owner has to end."""

_START_S = 10.0
"""Seconds that the swarm has to be complete before the script begins anyway."""


class Director:
    """Runs one swarm.

    Args:
        options: How the swarm should be.
        url: Where the bus is.
        scratch: Directory for journals; they are only written if the run has an end.
        log: Where the processes' complaints go.
    """

    def __init__(self, options: DemoOptions, url: str, scratch: Path, log: IO[bytes]) -> None:
        self._options = options
        self._url = url
        self._scratch = scratch
        self._tempo = Tempo.of(options)
        self._random = Random(f"{options.seed}:director")
        self._proxy = Proxy(url)
        self._agents = assemble(options.agents)
        self._actors = [Actor(host, self._brief, log, self._welcome) for host in house(self._agents)]
        self._planner = self._actors[0]
        self._deploys_fail = False
        self._stage: Mapping[str, Callable[[Cue], Coroutine[object, object, None]]] = {
            "crash": self._crash,
            "bad-deploy": self._bad_deploy,
            "cut": self._cut,
            "flood": self._flood,
            "silent": self._silent,
        }

    async def run(self) -> None:
        """Run the swarm until its time is over, or without end.

        Raises:
            CannotRunError: A process does not start.
        """
        await self._proxy.open()
        async with asyncio.TaskGroup() as lives:
            running = [lives.create_task(actor.live()) for actor in self._actors]
            await self._complete()
            incidents = lives.create_task(self._play())
            if self._options.seconds is None:
                await asyncio.Event().wait()
            await asyncio.sleep(self._options.seconds or 0)
            incidents.cancel()
            await self._wind_down()
            for actor in self._actors:
                actor.leave()
            await asyncio.wait(running, timeout=_CURTAIN_S)
            self.abandon()
        await self._proxy.close()

    def abandon(self) -> None:
        """End every process of the swarm now."""
        for actor in self._actors:
            actor.abandon()

    async def _complete(self) -> None:
        """Wait until everybody is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                await asyncio.gather(*(actor.ready.wait() for actor in self._actors))

    async def _play(self) -> None:
        """Stage one incident after the other; they may overlap."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as incidents:
            for cue in cues(self._options, self._tempo):
                await asyncio.sleep(max(start + cue.at_s - loop.time(), 0))
                incidents.create_task(self._stage[cue.incident](cue))

    async def _crash(self, cue: Cue) -> None:
        """Kill an agent with work in hand; it comes back later."""
        async with self._victim() as victim:
            if victim is not None:
                await self._load(victim)
                victim.kill(return_s=cue.lasts_s)
                await victim.ready.wait()

    async def _silent(self, cue: Cue) -> None:
        """Freeze an agent with work in hand; it neither beats nor works, and later goes on as if nothing had been."""
        async with self._victim() as victim:
            if victim is not None:
                await self._load(victim)
                victim.freeze()
                try:
                    await asyncio.sleep(cue.lasts_s)
                finally:
                    victim.thaw()

    async def _cut(self, cue: Cue) -> None:
        """Cut the network between some agents and the bus."""
        self._proxy.cut()
        try:
            await asyncio.sleep(cue.lasts_s)
        finally:
            self._proxy.restore()

    async def _bad_deploy(self, cue: Cue) -> None:
        """Break the cluster, so that every deploy fails with one cause."""
        self._set_deploys_fail(on=True)
        try:
            await asyncio.sleep(cue.lasts_s)
        finally:
            self._set_deploys_fail(on=False)

    async def _flood(self, _cue: Cue) -> None:
        """Have thousands of low tasks published at once, and critical ones beside them."""
        self._planner.order("flood", tasks=self._tempo.flood)

    @contextlib.asynccontextmanager
    async def _victim(self) -> AsyncIterator[Actor | None]:
        """Choose an agent that nothing happens to at the moment; None if there is none."""
        free = [actor for actor in self._actors if actor.host.solo and actor.ready.is_set() and not actor.away]
        victim = self._random.choice(free) if free else None
        if victim is None:
            yield None
            return
        victim.away = True
        try:
            yield victim
        finally:
            victim.away = False

    async def _load(self, victim: Actor) -> None:
        """See that *victim* has work in hand."""
        self._planner.order("assign", to=victim.host.agents[0].name, tasks=2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await victim.busy.wait()

    def _set_deploys_fail(self, *, on: bool) -> None:
        self._deploys_fail = on
        for actor in self._actors:
            actor.order("deploys-fail", on=on)

    async def _wind_down(self) -> None:
        """Have nothing new published, and give what is there a moment to be settled."""
        for actor in self._actors:
            actor.order("quiet")
        # Loaded here because only a run that ends needs it; the start is the faster for it.
        from observatory.demo.audit import drained  # noqa: PLC0415

        patience = self._tempo.lease_s * 1.5
        await drained(self._url, timeout_s=min(max(patience, 2.0), 5.0))

    def _brief(self, host: Host, life: int) -> Brief:
        tempo, options = self._tempo, self._options
        planners = sum(agent.role is Role.PLANNER for agent in self._agents)
        journal = "" if options.seconds is None else str(self._scratch / f"{host.name}-{life}.jsonl")
        return Brief(
            url=self._proxy.url if host.proxied else self._url,
            host=host,
            life=life,
            seed=options.seed,
            rate=options.rate / planners,
            lease_s=tempo.lease_s,
            beat_s=tempo.beat_s,
            patience_s=tempo.patience_s,
            colleagues=tuple(agent.name for agent in self._agents[:ADDRESSED] if agent.role is not Role.PLANNER),
            journal=journal,
        )

    def _welcome(self) -> list[Order]:
        return [{"do": "deploys-fail", "on": True}] if self._deploys_fail else []


async def direct(lifeline: Lifeline, piece: Order) -> int:
    """Run the piece until it is over, `stop` is ordered or the lifeline is cut; return the exit code."""
    loop = asyncio.get_running_loop()
    stopped, orphaned = asyncio.Event(), asyncio.Event()
    lifeline.watch(
        orders=lambda _order: loop.call_soon_threadsafe(stopped.set),
        cut=lambda: loop.call_soon_threadsafe(orphaned.set),
    )
    root = Path(piece["root"])
    engine = ProcessId.of(piece["engine"])
    with (root / SCRATCH / LOG).open("ab", buffering=0) as log:
        director = Director(DemoOptions.from_json(piece["options"]), piece["url"], root / SCRATCH, log)
        run = asyncio.create_task(director.run())
        ends = [asyncio.create_task(event.wait()) for event in (stopped, orphaned)]
        await asyncio.wait([run, *ends], return_when=asyncio.FIRST_COMPLETED)
        finished = run.done()
        run.cancel()
        director.abandon()
        outcome = (await asyncio.gather(run, return_exceptions=True))[0]
        if orphaned.is_set():
            await _sweep(engine, root)
        elif finished and outcome is not None:
            log.write(f"{_root_cause(outcome)}\n".encode())
            return 1
    return 0


async def _sweep(engine: ProcessId | None, root: Path) -> None:
    """Remove what a parent left that was killed; the engine's own guard does the same, whoever comes first."""
    deadline = time.monotonic() + _SWEEP_S
    while engine is not None and engine.alive() and time.monotonic() < deadline:
        engine.send(signal.SIGTERM)
        await asyncio.sleep(0.1)
    shutil.rmtree(root, ignore_errors=True)


def _root_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    """Run the director."""
    lifeline = Lifeline()
    piece = lifeline.first()
    return 0 if piece is None else asyncio.run(direct(lifeline, piece))


if __name__ == "__main__":
    sys.exit(main())
