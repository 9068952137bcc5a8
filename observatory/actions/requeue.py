"""`requeue`: put dead letters back into the lanes they came from, with fresh attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.actions.verb import Outcome, Selection, Verb
from observatory.bus import RequeueOutcome
from observatory.model.errors import UsageError
from observatory.model.plan import PlannedItem, RequeueDeadLetters, SkippedItem
from observatory.model.task import EntryId
from observatory.model.text import line

if TYPE_CHECKING:
    from observatory.bus import Bus
    from observatory.model.dead_letter import DeadLetter

GONE = "it is no longer among the dead letters"
NO_LANE = "it does not say which lane it came from"

_WHY = {RequeueOutcome.GONE: GONE, RequeueOutcome.NO_LANE: NO_LANE}


async def _plan(bus: Bus, request: RequeueDeadLetters) -> Selection:
    items, skipped = [], []
    for entry_id in _checked(request.entry_ids):
        letter = await bus.dead_letter(entry_id)
        if letter is None:
            skipped.append(SkippedItem(entry_id, GONE))
        elif bus.keys.lane_of(letter.source) is None:
            skipped.append(SkippedItem(entry_id, NO_LANE))
        else:
            items.append(PlannedItem(entry_id, bus.keys.dead_letters, letter.source, _label(letter)))
    return Selection(tuple(items), tuple(skipped))


async def _execute(bus: Bus, _request: RequeueDeadLetters, items: tuple[PlannedItem, ...]) -> Outcome:
    answers = await bus.requeue([item.id for item in items]) if items else []
    done = [answer for answer in answers if answer.outcome is RequeueOutcome.REQUEUED]
    return Outcome(
        tuple(answer.dead_id for answer in done),
        tuple(answer.entry_id for answer in done),
        tuple(SkippedItem(answer.dead_id, _WHY[answer.outcome]) for answer in answers if answer.outcome in _WHY),
    )


def _checked(entry_ids: tuple[str, ...]) -> list[str]:
    """Return *entry_ids* in their full form, each once and in the order asked for.

    Raises:
        UsageError: There is none, or one of them is no entry id.
    """
    if not entry_ids:
        raise UsageError("entry_ids names no dead letter", "mark some, or give their ids")
    found: dict[str, None] = {}
    for entry_id in entry_ids:
        try:
            found[str(EntryId.parse(entry_id))] = None
        except ValueError:
            raise UsageError(
                f"entry_ids: {line(entry_id, 40)!r} is no entry id", "they look like 1770000000000-0"
            ) from None
    return list(found)


def _label(letter: DeadLetter) -> str:
    said = f"{letter.type or '?'} {letter.task_id} {letter.reason}"
    return line(f"{said}: {letter.error}" if letter.error else said, 120)


VERB = Verb("requeue", RequeueDeadLetters, _plan, _execute)
"""Put dead letters back."""
