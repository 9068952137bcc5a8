"""Sheets: everything about one thing as the pane beside a list shows it, whatever kind of thing it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.model.dead_letter import DeadLetter
from observatory.model.listing import EntryState
from observatory.model.message import Note
from observatory.model.task import DelayedTask, Task
from observatory.model.text import line
from observatory.tui.drawing import format as fmt

if TYPE_CHECKING:
    from observatory.model.listing import EntryRow, Item, PendingRow

Fact = tuple[str, str, str]
"""Label, text that is printable already, and the name of its style."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One thing in full.

    Attributes:
        name: What names it; copied as it is.
        facts: What is known beside the payload; what is not known is `?`.
        payload: Its payload, None where it has none.
        json: All of it as JSON, for the clipboard.
    """

    name: str
    facts: tuple[Fact, ...]
    payload: bytes | None
    json: str


def letter_sheet(letter: DeadLetter) -> Sheet:
    """Return the sheet of a dead letter."""
    known = fmt.UNKNOWN
    again = f", requeued {letter.requeues}x before" if letter.requeues else ""
    facts = (
        ("task", f"{line(letter.task_id) or known}  {line(letter.type) or known}", "strong"),
        ("reason", f"{line(letter.reason) or known} after {_attempts(letter.attempts)}{again}", "error+"),
        ("error", line(letter.error, 2000) or known, "text"),
        ("from", f"{line(letter.source) or known}  {line(letter.source_id)}".strip(), "text"),
        ("worker", line(letter.worker) or known, "text"),
        ("died", f"{fmt.date_time(letter.died_ms)}, first seen {fmt.date_time(letter.first_seen_ms)}", "text"),
        ("entry", line(letter.entry_id), "muted"),
    )
    return Sheet(letter.entry_id, facts, letter.payload, fields_json(letter.entry_id, letter.fields))


def entry_sheet(row: EntryRow, now_ms: int) -> Sheet:
    """Return the sheet of an entry of a stream, whatever it is.

    Args:
        row: The entry.
        now_ms: Server time, for ages.
    """
    if isinstance(row.item, DeadLetter):
        return letter_sheet(row.item)
    facts: list[Fact] = [
        ("task" if not isinstance(row.item, Note) else "message", _named(row), "strong"),
        *((("problem", line(row.problem, 400), "error+"),) if row.problem else ()),
        ("state", _state(row, now_ms), "text"),
        *_item_facts(row.item),
        ("stream", line(row.stream), "text"),
        ("entry", f"{line(row.key)}  {fmt.size(row.size)}{', values cut' if row.cut else ''}", "muted"),
    ]
    payload = getattr(row.item, "payload", None)
    if payload is None:
        payload = json.dumps(_texts(row.item.fields)).encode()
    return Sheet(row.key, tuple(facts), payload, fields_json(row.key, row.item.fields))


def _named(row: EntryRow) -> str:
    return f"{line(row.task_id) or fmt.UNKNOWN}  {line(row.type) or fmt.UNKNOWN}"


def _state(row: EntryRow, now_ms: int) -> str:
    """Say what has become of the entry, who holds it and who waits for it."""
    said = [f"{row.state}"]
    said += [
        f"{line(hold.consumer, 60)} of {line(hold.group, 30)} for {fmt.age(hold.idle_ms / 1000)}, "
        f"delivered {fmt.count(hold.deliveries)}x"
        for hold in row.holds
    ]
    if row.waits_for and row.state is not EntryState.DEAD:
        said.append(f"not given to {', '.join(line(group, 30) for group in row.waits_for)}")
    when = f"due in {fmt.age((row.at_ms - now_ms) / 1000)}" if row.at_ms > now_ms else _ago(row.at_ms, now_ms)
    return "; ".join((*said, when))


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{fmt.date_time(at_ms)}, {fmt.age(max(now_ms - at_ms, 0) / 1000)} ago"


def _item_facts(item: Item) -> list[Fact]:
    """Return what only this kind of entry knows."""
    if isinstance(item, DelayedTask):
        return [("goes to", line(item.stream), "text"), ("attempt", fmt.count(item.attempt), "text")]
    facts: list[Fact] = []
    if isinstance(item, Task):
        to = f" for {line(item.to, 60)}" if item.to else ""
        facts = [
            ("sent", f"by {line(item.sender, 60) or fmt.UNKNOWN}{to}, {fmt.date_time(item.created_ms)}", "text"),
            ("attempt", f"{fmt.count(item.attempt)}, stale after {fmt.age(item.ttl_s)}", "text"),
        ]
    elif isinstance(item, Note):
        facts = [("sent", f"by {line(item.sender, 60) or fmt.UNKNOWN}, {fmt.date_time(item.created_ms)}", "text")]
    if correlation := getattr(item, "correlation_id", ""):
        facts.append(("family", line(correlation), "text"))
    if notes := getattr(item, "notes", ()):
        facts.append(("read as", line("; ".join(notes), 400), "warning"))
    return facts


def fields_json(entry_id: str, fields: tuple[tuple[bytes, bytes], ...]) -> str:
    """Return an entry as it stands in the stream, as JSON."""
    return json.dumps({"entry_id": entry_id, "fields": _texts(fields)}, ensure_ascii=True)


def _texts(fields: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields}


def _attempts(number: int | None) -> str:
    return f"{fmt.count(number)} attempt{'' if number == 1 else 's'}"


def pending_sheet(row: PendingRow, entry: Sheet | None = None) -> Sheet:
    """Return the sheet of a pending entry: who holds it, and its payload once *entry* is read."""
    hold = row.hold
    facts = (
        ("held by", f"{line(hold.consumer, 120)}", "strong"),
        ("", f"in group {line(hold.group, 60)} of {line(row.lane, 60)}", "text"),
        ("idle", f"{fmt.age(hold.idle_ms / 1000)}, delivered {fmt.count(hold.deliveries)}x", "text"),
        *((("body", "deleted while it was pending: nobody can run it any more", "error+"),) if row.gone else ()),
    )
    if entry is None:
        return Sheet(row.key, (*facts, ("entry", line(row.entry_id), "muted")), None, "{}")
    return Sheet(row.key, (*facts, *entry.facts), entry.payload, entry.json)
