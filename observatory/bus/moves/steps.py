"""The steps: which script changes an item, and what it needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from observatory.model.task import SHARED, EntryId, Lane, Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from observatory.bus.keys import Keys
    from observatory.model.plan import PlannedItem

KEPT_S: Final = 7 * 86_400
"""Seconds for which it is remembered what a job did: so long it can be resumed, and taken back."""

SEPARATOR: Final = "\x1f"
"""Stands between lane and group, and before an agent, in the names of what is paused; set_pauses.lua has it too."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """For whom a step is done.

    Attributes:
        job: The job; the same item is done once for it.
        token: The executor's fencing token; when another executor took over, nothing is done any more.
        who: Who did it, for the events.
    """

    job: str
    token: int
    who: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one item.

    Attributes:
        id: The item.
        outcome: `done`, or in a word why it was left alone; `fenced` if another executor took over.
        entry: Entry id that it has now, or what it was before, as the script says.
    """

    id: str
    outcome: str
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """How the items of a verb are changed.

    Attributes:
        script: Script in `lua/`.
        item: What it needs for an item, behind its id.
        head: What it needs for all items.
        everywhere: It is done in all partitions alike; else where the item is.
    """

    script: str
    item: Callable[[PlannedItem, Keys], Sequence[str]]
    head: Callable[[Mapping[str, str]], Sequence[str]] = lambda _options: ()
    everywhere: bool = False


def _plain(ident: str) -> str:
    return EntryId.parse(ident).plain


def _seen(*names: str) -> Callable[[PlannedItem, Keys], Sequence[str]]:
    return lambda item, _keys: [item.seen.get(name, "") for name in names]


def _letter(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    return _plain(item.id), item.seen.get("task", ""), item.seen.get("type", "")


def _requeued(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    said = item.seen
    task = said.get("task", "") or f"x-dlq-{item.id}"
    return (
        _plain(item.id),
        item.target,
        task,
        said.get("type", ""),
        said.get("attempt", "1"),
        said.get("priority", ""),
    )


def _withdrawn(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    said = item.seen
    return item.source, _plain(item.id), said.get("task", ""), said.get("type", ""), said["was"]


def _held(item: PlannedItem) -> tuple[str, ...]:
    return (item.source, *(item.seen.get(name, "") for name in ("group", "entry", "consumer", "deliveries", "idle")))


def _claimed(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    return (*_held(item), *(item.seen.get(name, "") for name in ("to", "to_idle", "to_deliveries", "task", "type")))


def _handed_back(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    return (*_held(item), item.seen.get("task", ""), item.seen.get("type", ""))


def _paused(item: PlannedItem, keys: Keys) -> Sequence[str]:
    return paused_field(item.id, keys), item.seen.get("till", ""), item.seen.get("before", "")


def _grouped(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    return (item.source, *(item.seen[name] for name in ("group", "position", "to")))


def _dropped(item: PlannedItem, _keys: Keys) -> Sequence[str]:
    return (item.source, *(item.seen[name] for name in ("group", "consumer")))


def paused_field(place: str, keys: Keys) -> str:
    """Return the field of the hash of pauses for a place: `@agent`, a lane, or `<lane>/<group>`.

    Raises:
        ValueError: It is none of them.
    """
    if place.startswith("@") and ":" not in place:
        return SEPARATOR + place[1:]
    lane, slash, group = place.partition("/")
    queue, _, priority = lane.rpartition(":")
    stream = keys.lane(Lane(queue or SHARED, Priority(priority)))
    return stream + SEPARATOR + group if slash else stream


STEPS: Final[Mapping[str, Step]] = MappingProxyType(
    {
        "requeue": Step("requeue", _requeued),
        "withdraw": Step("withdraw", _withdrawn, lambda options: (options["undoes"],)),
        "trash": Step("shelve", _letter, lambda options: ("trash", options.get("days", "0"))),
        "restore": Step("shelve", _letter, lambda options: ("restore", options.get("days", "0"))),
        "purge": Step("shelve", _letter, lambda options: ("purge", options.get("days", "0"))),
        "cancel": Step("cancel_many", lambda item, _keys: (item.id,)),
        "uncancel": Step("uncancel", lambda item, _keys: (item.id,), lambda options: (options["undoes"],)),
        "claim": Step("claim", _claimed),
        "hand back": Step("hand_back", _handed_back, lambda _options: ("",)),
        "dead-letter": Step("hand_back", _handed_back, lambda options: (options["error"],)),
        **dict.fromkeys(
            ("pause", "resume"), Step("set_pauses", _paused, lambda _options: ("paused",), everywhere=True)
        ),
        **dict.fromkeys(
            ("drain", "reopen"), Step("set_pauses", _paused, lambda _options: ("closed",), everywhere=True)
        ),
        "reset": Step("set_group", _grouped),
        "remove consumers": Step("drop_consumers", _dropped),
        "bounds": Step("set_bounds", _seen("name", "value", "before"), everywhere=True),
    }
)
"""Verbs whose items are changed by a script."""
