"""The books: that they would notice if the bus lost or doubled something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.demo.audit import Census, settle_books
from observatory.demo.journal import Accounts, Journal, gather
from observatory.model.event import Event, EventKind

if TYPE_CHECKING:
    from pathlib import Path


def _log(*facts: tuple[EventKind, str]) -> list[Event]:
    return [Event(f"{n}-0", kind, n, task=task, lane="cortex:tasks:low") for n, (kind, task) in enumerate(facts, 1)]


def _said(what: str, *tasks: str) -> Accounts:
    said = Accounts()
    said.words[what].update(tasks)
    return said


def test_an_acknowledged_task_without_a_trace_is_counted_as_lost() -> None:
    """A publish that the bus acknowledged and nobody knows of afterwards is lost, and named."""
    log = _log((EventKind.PUBLISHED, "here"), (EventKind.PUBLISHED, "gone"))
    books = settle_books(_said("acked", "here", "gone"), log, Census(queued=["here"]))
    assert books["lost"] == 1
    assert any("without a trace: gone" in problem for problem in books["problems"])


def test_a_task_with_two_final_states_is_counted_as_duplicated() -> None:
    """Two final events without a requeue between them are a duplicate; with one they are not."""
    twice = _log((EventKind.PUBLISHED, "a"), (EventKind.COMPLETED, "a"), (EventKind.CANCELLED, "a"))
    again = _log(
        (EventKind.PUBLISHED, "b"),
        (EventKind.DEAD_LETTERED, "b"),
        (EventKind.REQUEUED, "b"),
        (EventKind.COMPLETED, "b"),
    )
    assert settle_books(Accounts(), twice, Census())["duplicated"] == 1
    assert settle_books(Accounts(), again, Census())["duplicated"] == 0


def test_work_that_nobody_did_is_noticed() -> None:
    """A completion in the log that no process remembers is a problem with the task's name in it."""
    log = _log((EventKind.PUBLISHED, "a"), (EventKind.COMPLETED, "a"))
    assert settle_books(_said("finished", "a"), log, Census())["problems"] == []
    assert any("finished by nobody: a" in line for line in settle_books(Accounts(), log, Census())["problems"])


def test_where_log_and_engine_disagree_is_said_in_words() -> None:
    """A task that the log has in a lane while the engine has it delayed is a problem with its name in it."""
    books = settle_books(Accounts(), _log((EventKind.PUBLISHED, "a")), Census(delayed=["a"]))
    assert len(books["problems"]) == 2
    assert all(problem.endswith(": a") for problem in books["problems"])


def test_a_journal_loses_nothing_but_a_torn_last_line(tmp_path: Path) -> None:
    """A kill in the middle of a write costs that line; damage anywhere else is not believed."""
    journal = Journal(tmp_path / "pink-1.jsonl")
    journal.note("acked", "a")
    journal.note("began", "b")
    with (tmp_path / "pink-1.jsonl").open("ab") as file:
        file.write(b'["acked", "c')
    said = gather(tmp_path)
    assert (said.tasks("acked"), said.tasks("began"), said.torn) == ({"a"}, {"b"}, 1)
    with (tmp_path / "pink-1.jsonl").open("ab") as file:
        file.write(b'\n["acked", "d"]\n')
    with pytest.raises(ValueError, match="Unterminated"):
        gather(tmp_path)
