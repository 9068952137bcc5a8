"""The `Actions` of a live bus: a table of verbs, each with its own module."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from observatory.actions import requeue, send
from observatory.model.clock import Clock, SystemClock
from observatory.model.plan import Plan, Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.actions.verb import Verb
    from observatory.bus import Bus
    from observatory.model.plan import Request

_VERBS: Mapping[type, Verb[Any]] = {verb.request: verb for verb in (send.VERB, requeue.VERB)}
"""Which verb does what a request asks for."""


class BusActions:
    """Plans changes of a bus and carries them out.

    Args:
        bus: A connected bus.
        clock: By which plans are dated.
    """

    def __init__(self, bus: Bus, clock: Clock | None = None) -> None:
        self._bus = bus
        self._clock = clock or SystemClock()

    async def plan(self, request: Request) -> Plan:
        """Find out what *request* would touch, without changing anything.

        Raises:
            UsageError: The request makes no sense, naming the field.
            BusError: The bus cannot be asked.
        """
        verb = _VERBS[type(request)]
        selection = await verb.plan(self._bus, request)
        return Plan(
            id=secrets.token_hex(8),
            verb=verb.name,
            request=request,
            items=selection.items,
            skipped=selection.skipped,
            created_ms=self._clock.now_ms(),
        )

    async def execute(self, plan: Plan) -> Report:
        """Do what *plan* says, re-checking each item inside the atomic step that changes it.

        A plan that runs again changes nothing twice: what was done is reported as skipped.

        Raises:
            BusError: The bus could not be changed; what was done before is in the event log.
        """
        outcome = await _VERBS[type(plan.request)].execute(self._bus, plan.request, plan.items)
        return Report(plan=plan, done=outcome.done, skipped=outcome.skipped, entries=outcome.entries)
