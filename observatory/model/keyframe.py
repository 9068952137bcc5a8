"""Keyframes: the books at one event, as bytes. Versioned, and small before anybody compresses them.

A whole keyframe stands alone. A *step* only holds the tasks that changed since a whole one, so that the many dead
letters of a bad day are not written again and again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from observatory.model.books import Books, Firing, LaneSample, LiveTask, Process
from observatory.model.errors import ObservatoryError
from observatory.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

VERSION: Final = 1
"""Version of the encoding that is written; older ones are read by way of `_UPGRADES`."""

_STATES: Final = {
    TaskState.QUEUED: "q",
    TaskState.RUNNING: "r",
    TaskState.DELAYED: "d",
    TaskState.DEAD: "x",
}
_STATE_OF: Final = {letter: state for state, letter in _STATES.items()}

_UPGRADES: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""How a document of a version becomes one of the next; none was needed yet."""


class KeyframeError(ObservatoryError):
    """Bytes that are no keyframe, or one of a later version."""


def encode(books: Books, *, since: Books | None = None, touched: Iterable[str] = ()) -> bytes:
    """Return *books* as bytes, the same for equal books whatever way they came about.

    Args:
        books: What to keep.
        since: The books of a whole keyframe; only the tasks in *touched* are then written.
        touched: Ids of all tasks that facts spoke of after *since*; others must be equal in both.
    """
    gone: list[str] = []
    if since is None:
        tasks = dict(sorted(books.tasks.items()))
    else:
        before = since.tasks
        changed = sorted(ident for ident in touched if books.tasks.get(ident) != before.get(ident))
        tasks = {ident: books.tasks[ident] for ident in changed if ident in books.tasks}
        gone = [ident for ident in changed if ident not in books.tasks]
    words: dict[str, int] = {}

    def word(text: str) -> int:
        return words.setdefault(text, len(words))

    rows = tasks.values()
    document = {
        "v": VERSION,
        "whole": since is None,
        "last": books.last_id,
        "at": books.at_ms,
        "gone": gone,
        "tasks": {
            "id": list(tasks),
            "state": "".join([_STATES[row.state] for row in rows]),
            "lane": [word(row.lane) for row in rows],
            "agent": [word(row.agent) for row in rows],
            "reason": [word(row.reason) for row in rows],
            "type": [word(row.type) for row in rows],
            "attempt": [row.attempt for row in rows],
            "since": [books.at_ms - row.since_ms for row in rows],
            "arrived": [row.since_ms - row.arrived_ms for row in rows],
            "error": [word(row.error) for row in rows],
        },
        "words": list(words),
        "totals": dict(books.totals),
        "arrivals": dict(books.arrivals),
        "processes": dict(books.processes),
        "paused": dict(books.paused),
        "alerts": dict(books.alerts),
        "lanes": dict(books.lanes),
        "vitals": dict(books.vitals),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode(data: bytes, *, since: Books | None = None) -> Books:
    """Return the books that `encode` was given.

    Args:
        data: What it returned.
        since: The books that it was given as *since*, if any.

    Raises:
        KeyframeError: That is no keyframe, one of a later version, or a step without the whole one before it.
    """
    document = _document(data)
    if not document["whole"] and since is None:
        raise KeyframeError("a step needs the whole keyframe before it")
    try:
        return _books(document, since)
    except (LookupError, TypeError, ValueError) as error:
        raise KeyframeError(f"the keyframe cannot be read: {type(error).__name__}") from error


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
        version = document["v"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise KeyframeError("that is no keyframe") from error
    while version in _UPGRADES:
        document = _UPGRADES[version](document)
        version = document["v"]
    if version != VERSION:
        raise KeyframeError(f"keyframe of version {version!r}, this program knows {VERSION}", "use a newer one")
    found: dict[str, Any] = document
    return found


def _books(document: dict[str, Any], since: Books | None) -> Books:
    words, at_ms, columns = document["words"], document["at"], document["tasks"]
    tasks = {} if since is None or document["whole"] else dict(since.tasks)
    for ident in document["gone"]:
        tasks.pop(ident, None)
    times = [at_ms - ago for ago in columns["since"]]
    told = (
        [_STATE_OF[letter] for letter in columns["state"]],
        [words[at] for at in columns["lane"]],
        [words[at] for at in columns["agent"]],
        [words[at] for at in columns["reason"]],
        [words[at] for at in columns["type"]],
        columns["attempt"],
        times,
        [time - ago for time, ago in zip(times, columns["arrived"], strict=True)],
        [words[at] for at in columns["error"]],
    )
    tasks.update(zip(columns["id"], map(LiveTask._make, zip(*told, strict=True)), strict=True))
    return Books(
        tasks=tasks,
        totals=document["totals"],
        arrivals=document["arrivals"],
        last_id=document["last"],
        at_ms=at_ms,
        processes={name: Process(*one) for name, one in document["processes"].items()},
        paused=document["paused"],
        alerts={name: Firing(*one) for name, one in document["alerts"].items()},
        lanes={name: _sample(one) for name, one in document["lanes"].items()},
        vitals=document["vitals"],
    )


def _sample(row: list[Any]) -> LaneSample:
    sample = LaneSample._make(row)
    return sample._replace(groups=tuple((name, lag, held, consumers) for name, lag, held, consumers in sample.groups))
