"""A message to one agent, or to all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory.actions.verbs.verb import Draft, Verb
from observatory.bus.moves import Moved, Stamp
from observatory.model.errors import UsageError
from observatory.model.plan import PlannedItem, Reversal, TellAgents
from observatory.model.task import is_queue_name
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.bus import Bus


async def _tell(bus: Bus, request: TellAgents) -> Draft:
    if not request.text.strip():
        raise UsageError("text is empty", "say something")
    if request.agent and not is_queue_name(f"@{request.agent}"):
        raise UsageError(f"agent {line(request.agent, 80)!r} cannot name an agent", "for example pink")
    target = (
        bus.partitions.of(request.agent).keys.mailbox(request.agent)
        if request.agent
        else bus.partitions.seat.keys.broadcasts
    )
    whom = request.agent or "all agents"
    item = PlannedItem(request.id, "", target, line(f"to {whom}: {request.text}", 160))
    return Draft(
        "tell", (item,), (), line(whom, 80), {"agent": request.agent, "text": request.text}, Reversal.NONE,
        streams=(target,),
    )  # fmt: skip


async def tell(bus: Bus, _stamp: Stamp, options: Mapping[str, str], items: list[PlannedItem]) -> list[Moved]:
    """Send the message; its id makes a repetition an answer."""
    moved = []
    for item in items:
        if options["agent"]:
            sent = await bus.send_message(options["agent"], options["text"], id=item.id)
            moved.append(Moved(item.id, "done", sent.entry_id))
        else:
            await bus.broadcast(options["text"], id=item.id)
            moved.append(Moved(item.id, "done"))
    return moved


VERBS: tuple[Verb[Any], ...] = (Verb(TellAgents, _tell),)
"""What agents can be told."""
