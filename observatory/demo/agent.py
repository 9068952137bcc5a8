"""One process of the swarm: it hosts one agent or several and does what the director tells it.

The first line on its standard input is its brief; later lines are orders; the end of the input is its end. What it
says on standard output is for the director alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from observatory.bus import Bus
from observatory.demo.labour import Labourer
from observatory.demo.lifeline import Lifeline, Order
from observatory.demo.office import Brief, Office
from observatory.demo.planner import Planner
from observatory.demo.roster import Role
from observatory.demo.work import KINDS
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observatory.bus import Worker
    from observatory.demo.roster import Agent

SLOTS = 2
"""Tasks that one agent handles at a time."""


class AgentProcess:
    """The agents of one process, at work.

    Args:
        office: What they share.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._planners = {
            agent.name: Planner(agent.name, office) for agent in office.brief.host.agents if agent.role is Role.PLANNER
        }
        self._workers = [self._employ(agent) for agent in office.brief.host.agents]
        self._verbs: Mapping[str, Callable[[Order], None]] = {
            "flood": self._flood,
            "assign": self._assign,
            "deploys-fail": self._deploys_fail,
            "quiet": self._quiet,
            "stop": self._stop,
        }

    async def run(self) -> None:
        """Work until told to stop."""
        planning = [asyncio.create_task(planner.run()) for planner in self._planners.values()]
        _say("ready")
        try:
            await asyncio.gather(*(worker.run() for worker in self._workers))
        finally:
            for task in planning:
                task.cancel()
            for planner in self._planners.values():
                await planner.close()

    async def obey(self, orders: asyncio.Queue[Order]) -> None:
        """Carry out the director's orders as they come."""
        while True:
            order = await orders.get()
            self._verbs[order["do"]](order)

    def _employ(self, agent: Agent) -> Worker:
        brief = self._office.brief
        report = _report if brief.host.solo else _keep_quiet
        labourer = Labourer(agent.name, self._office, report)
        return self._office.bus.worker(
            agent.name,
            dict.fromkeys(KINDS, labourer.handle),
            queues=agent.queues,
            concurrency=SLOTS,
            heartbeat_s=brief.beat_s,
            lease_s=brief.lease_s,
        )

    def _flood(self, order: Order) -> None:
        self._first_planner().flood(order["tasks"])

    def _assign(self, order: Order) -> None:
        self._first_planner().assign(order["to"], order["tasks"])

    def _deploys_fail(self, order: Order) -> None:
        self._office.deploys_fail = order["on"]
        if order["on"] and self._planners:
            self._first_planner().release_train()

    def _quiet(self, _order: Order) -> None:
        self._office.quiet = True

    def _stop(self, _order: Order) -> None:
        self._office.quiet = True
        for worker in self._workers:
            worker.stop()

    def _first_planner(self) -> Planner:
        return next(iter(self._planners.values()))


async def serve(lifeline: Lifeline, brief: Brief) -> None:
    """Connect to the bus and work until told to stop."""
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[Order] = asyncio.Queue()
    lifeline.watch(
        orders=lambda order: loop.call_soon_threadsafe(orders.put_nowait, order),
        # Nobody is left to work for, and nobody to tell: what is in hand is redelivered to whoever comes.
        cut=lambda: os._exit(0),
    )
    async with Bus.connect(brief.url, name=brief.host.name) as bus:
        process = AgentProcess(Office(brief, bus))
        obedience = asyncio.create_task(process.obey(orders))
        await process.run()
        obedience.cancel()


def main() -> int:
    """Run one agent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lifeline = Lifeline()
    order = lifeline.first()
    if order is None:
        return 0
    try:
        asyncio.run(serve(lifeline, Brief.from_order(order)))
    except BusError as error:
        print(f"agent process {order['host']['name']}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _report(in_hand: int) -> None:
    _say("busy" if in_hand else "idle")


def _keep_quiet(_in_hand: int) -> None:
    pass


def _say(word: str) -> None:
    """Tell the director; a director that is gone is noticed by the lifeline."""
    with contextlib.suppress(OSError):
        os.write(1, word.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
