"""Those who work: take a task, be busy for as long as such work takes, sometimes fail, and pass on what follows."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from observatory.bus import DoNotRetry
from observatory.demo.work import KINDS, bad_deploy, duration_s, failure, new_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from observatory.bus import TaskContext
    from observatory.demo.office import Office
    from observatory.model.task import NewTask, Task

_HOPELESS = 0.004
"""Share of tasks that no retry will help."""


class WorkError(Exception):
    """An attempt failed; the class that is raised is named as the tool at fault would name it."""


class Labourer:
    """One working agent.

    Args:
        name: Agent name.
        office: What its process shares.
        busy: Called with how many tasks it has in hand, whenever that changes.
    """

    def __init__(self, name: str, office: Office, busy: Callable[[int], None]) -> None:
        self._name = name
        self._office = office
        self._busy = busy
        self._in_hand = 0

    async def handle(self, task: Task, _context: TaskContext) -> None:
        """Do *task* as well as agents do.

        Raises:
            WorkError: The attempt failed; another may succeed.
            DoNotRetry: No attempt will succeed.
        """
        office = self._office
        office.journal.note("began", task.id)
        self._hold(1)
        try:
            body = _body(task)
            budget = body.get("budget_s")
            seconds = float(budget) if isinstance(budget, int | float) else duration_s(task.type, office.random)
            await asyncio.sleep(seconds)
            self._stumble(task, body)
            if not office.quiet and (following := _following(task, body, self._name, office.random)):
                await office.publish(following)
        finally:
            self._hold(-1)
        office.journal.note("finished", task.id)

    def _hold(self, change: int) -> None:
        self._in_hand += change
        self._busy(self._in_hand)

    def _stumble(self, task: Task, body: Mapping[str, object]) -> None:
        random = self._office.random
        if task.type == "deploy" and self._office.deploys_fail:
            raise _named(bad_deploy(random), DoNotRetry if body.get("on_failure") == "halt" else WorkError)
        kind = KINDS[task.type]
        if random.random() < kind.flaky / (3 * task.attempt - 2):
            raise _named(failure(task.type, random), WorkError)
        if kind.weight and random.random() < _HOPELESS:
            what = body.get("repo", "a document")
            raise _named(f"NotFoundError: {task.type} refers to {what}, which was deleted", DoNotRetry)


def _named(text: str, base: type[Exception]) -> Exception:
    """Return an error of the class that *text* begins with, as if the tool at fault had raised it."""
    name, _, message = text.partition(": ")
    kind: type[Exception] = type(name, (base,), {})
    return kind(message)


def _body(task: Task) -> Mapping[str, object]:
    """Read the payload; work that an operator sends by hand may hold anything."""
    try:
        body = json.loads(task.payload)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _following(task: Task, body: Mapping[str, object], name: str, random: Random) -> list[NewTask]:
    """Return what follows from *task*; the ids depend on nothing but its id, so a second run adds nothing new."""
    return [
        new_task(kind, f"{task.id}.{kind}", name, random, parent=body)
        for kind, share in KINDS[task.type].then
        if random.random() < share
    ]
