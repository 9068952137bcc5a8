"""Taking names out of the past: every value of some fields is replaced, wherever it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from observatory.history.columns import SCHEMA, WORDS, coded
from observatory.model.agent import agent_of
from observatory.model.books import Books, Firing
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIELDS: Final = ("task", "type", "agent", "reason", "detail")
"""What can be redacted."""

_GONE: Final = "redacted"
_TOKEN: Final = re.compile(r"[\w@.-]+(?::[\w.-]+)*")
_SHORTEST: Final = 2
"""Characters below which a value is no name: it is replaced in its own field, and not looked for in others."""


class Redactor:
    """Replaces the values of some fields: a detail by one word, all others by a name that stays the same.

    All there is must be `noted` before anything is replaced, because the name of one agent may stand in the error of
    another.

    Args:
        fields: Some of `FIELDS`.

    Raises:
        UsageError: There is no such field.
    """

    def __init__(self, fields: Iterable[str]) -> None:
        self.fields = tuple(dict.fromkeys(fields))
        for field in self.fields:
            if field not in FIELDS:
                raise UsageError(f"--redact: there is no field {field!r}", f"one of {', '.join(FIELDS)}")
        self._names: dict[str, dict[str, str]] = {field: {"": ""} for field in self.fields}
        self._agents: dict[str, str] = {}
        self._everywhere: dict[str, str] = {}

    def note(self, table: pa.Table, books: Books) -> None:
        """Take note of the values of some events, and of the books before them."""
        for field in self.fields:
            self._note(field, sorted(set(coded(table, field).dictionary.to_pylist())))
        for ident, task in sorted(books.tasks.items()):
            for field, value in (("task", ident), ("type", task.type), ("agent", task.agent), ("reason", task.reason)):
                if field in self.fields:
                    self._note(field, [value])
        if "agent" in self.fields:
            self._note("agent", sorted(books.processes))

    def table(self, table: pa.Table) -> pa.Table:
        """Return events without those values."""
        if not self.fields:
            return table
        for name in WORDS:
            column = coded(table, name)
            words = [self._word(name, word) for word in column.dictionary.to_pylist()]
            plain = np.array(words or [""], dtype=object)[column.indices.to_numpy(zero_copy_only=False)]
            array = pa.array(plain.tolist(), pa.string()).dictionary_encode()
            table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), array)
        return table

    def books(self, books: Books) -> Books:
        """Return books without those values."""
        if not self.fields:
            return books
        tasks = {
            self._word("task", ident): task._replace(
                lane=self.scrub(task.lane),
                agent=self._word("agent", task.agent),
                reason=self._word("reason", task.reason),
                type=self._word("type", task.type),
                error=self._word("detail", task.error),
            )
            for ident, task in books.tasks.items()
        }
        return Books(
            tasks=tasks,
            totals=books.totals,
            arrivals={self.scrub(lane): count for lane, count in books.arrivals.items()},
            last_id=books.last_id,
            at_ms=books.at_ms,
            processes={self._word("agent", name): one for name, one in books.processes.items()},
            paused={self.scrub(lane): until for lane, until in books.paused.items()},
            alerts={
                self.scrub(ident): Firing(one.severity, one.since_ms, self.scrub(one.text))
                for ident, one in books.alerts.items()
            },
            lanes={
                self.scrub(lane): sample._replace(groups=())
                for lane, sample in books.lanes.items()
            },
            vitals={},
        )  # fmt: skip

    def scrub(self, text: str) -> str:
        """Return *text* with the values that stand in it replaced."""
        if not self._everywhere or not text:
            return text
        found = _TOKEN.sub(lambda token: self._token(token[0]), text)
        return found if found != text or len(self._everywhere) > 5_000 else self._inside(text)

    def _token(self, token: str) -> str:
        if token in self._everywhere:
            return self._everywhere[token]
        parts = re.split(r"([@:.-])", token)
        return "".join(self._everywhere.get(part, part) for part in parts)

    def _inside(self, text: str) -> str:
        for value, name in self._everywhere.items():
            if value in text:
                text = text.replace(value, name)
        return text

    def _word(self, field: str, word: str) -> str:
        if field == "detail" and field in self._names:
            return _GONE if word else ""
        if field in self._names:
            return self._names[field].get(word, _GONE)
        return self.scrub(word)

    def _note(self, field: str, values: Sequence[str]) -> None:
        if field == "detail":
            return
        names = self._names[field]
        for value in values:
            if value in names:
                continue
            if field == "agent":
                agent = agent_of(value)
                known = self._agents.setdefault(agent, f"agent-{len(self._agents) + 1}")
                names[value] = known if value == agent else f"{known}@{len(names)}"
                self._look_for(agent, known)
                for part in re.split(r"[@:]", value)[1:2]:
                    self._look_for(part, "host")
            else:
                names[value] = f"{field}-{len(names)}"
            self._look_for(value, names[value])

    def _look_for(self, value: str, name: str) -> None:
        if len(value) >= _SHORTEST:
            self._everywhere.setdefault(value, name)
