"""What could be typed next: fields, operators and values at the cursor of a filter that is being written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from observatory.model.filter.errors import FilterError
from observatory.model.filter.fields import OPERATORS, Field, FieldSet, Kind
from observatory.model.filter.scan import Kind as TokenKind
from observatory.model.filter.scan import Token, scan
from observatory.model.filter.syntax import Op, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST: Final = 50
"""Choices that are offered at once."""

_SAMPLES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.DURATION: ("30s", "1m", "5m", "15m", "1h", "1d"),
    Kind.SIZE: ("1KB", "64KB", "256KB", "1MB"),
    Kind.TIME: ("-5m", "-15m", "-1h", "-1d"),
    Kind.FLAG: ("yes", "no"),
}
"""Values that show how a kind is written, where nothing live is known."""

_MEANINGS: Final[Mapping[Op, str]] = {
    Op.IS: "is, with * and ? wild",
    Op.EQUAL: "is exactly",
    Op.HAS: "contains, or /expression/",
    Op.ABOVE: "more than",
    Op.AT_LEAST: "at least",
    Op.BELOW: "less than",
    Op.AT_MOST: "at most",
}

_REST_OF_WORD = re.compile(r"[\w.-]*")
_REST_OF_QUOTED = re.compile(r'(?:[^"\\]|\\.)*"')
_REST_OF_VALUE = re.compile(r'[^\s(),"]*')


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that could stand at the cursor.

    Attributes:
        text: What is put there.
        help: What it is, in a few words; empty for values.
    """

    text: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What could stand at the cursor, best first.

    Attributes:
        start: First character that a choice replaces, from 0.
        end: Where the replaced part ends.
        choices: At most `MOST`.
    """

    start: int
    end: int
    choices: tuple[Choice, ...]

    def apply(self, text: str, choice: Choice) -> tuple[str, int]:
        """Return *text* with *choice* in its place, and where the cursor then is."""
        return text[: self.start] + choice.text + text[self.end :], self.start + len(choice.text)


def complete(
    text: str, cursor: int, fields: FieldSet[Any], live: Mapping[str, Iterable[str]] | None = None
) -> Completion:
    """Say what could be typed at *cursor*.

    Args:
        text: The filter as it stands; it need not be complete or right.
        cursor: Where the cursor is, in characters from 0.
        fields: The fields of the rows.
        live: Values that are there now, by field name (`agent`) or by path into a payload (`payload.repo`); under
            the name of a payload itself, the paths that lead somewhere. Values that cannot be printed are left out.

    Returns:
        The part of the text to replace, and what with; no choices where nothing is known.
    """
    live = live or {}
    cursor = min(max(cursor, 0), len(text))
    before = text[:cursor]
    tokens, at, open_end = _place(before)
    compared = _compared(tokens, before[:at]) if open_end else _compared(tokens[:-1], before[:at])
    written = before[at:]
    if compared is not None:
        field, op = compared
        end = _rest(_REST_OF_QUOTED if written[:1] == '"' else _REST_OF_VALUE, text, cursor)
        return Completion(at, end, tuple(_values(fields, field, op, written.lstrip("\"'"), live))[:MOST])
    if written[:1] in {'"', "'"}:
        return Completion(at, cursor, ())
    end = _rest(_REST_OF_WORD, text, cursor)
    return Completion(at, end, tuple(_conditions(fields, written, live, follows=_may_join(tokens, at)))[:MOST])


def _place(before: str) -> tuple[list[Token], int, bool]:
    """Return the tokens up to the cursor, where what is being written began, and whether the last token is closed."""
    tokens: list[Token] = []
    try:
        tokens.extend(scan(before))
    except FilterError as error:
        # The generator has handed out what came before the place where it stumbled.
        tokens = list(_up_to_error(before))
        return tokens, error.column - 1, True
    last = tokens[-1] if tokens else None
    if last and last.end == len(before) and last.kind in {TokenKind.WORD, TokenKind.VALUE}:
        return tokens, last.start, False
    return tokens, len(before), True


def _up_to_error(before: str) -> Iterator[Token]:
    try:
        yield from scan(before)
    except FilterError:
        return


def _compared(tokens: Sequence[Token], before: str) -> tuple[Token, str] | None:
    """Return the field and the operator whose value is being written; None where a condition begins."""
    if not tokens:
        return None
    last = tokens[-1]
    goes_on = last.kind is TokenKind.OPERATOR or (last.kind is TokenKind.VALUE and before[last.end :].strip() == ",")
    if not goes_on:
        return None
    at = max(index for index, token in enumerate(tokens) if token.kind is TokenKind.OPERATOR)
    return tokens[at - 1], tokens[at].text.removeprefix("!")


def _may_join(tokens: Sequence[Token], at: int) -> bool:
    """Say whether *or* may stand here: behind a condition."""
    done = [token for token in tokens if token.end <= at]
    return bool(done) and done[-1].kind in {TokenKind.WORD, TokenKind.VALUE, TokenKind.CLOSE}


def _conditions(
    fields: FieldSet[Any], written: str, live: Mapping[str, Iterable[str]], *, follows: bool
) -> Iterator[Choice]:
    name, dot, path = written.lower().partition(".")
    either = [Choice("or ", "either of two conditions")] if follows and "or".startswith(name) else []
    if name:
        yield from either
    field = fields.get(name)
    if field is not None and dot:
        if field.kind is Kind.JSON:
            for known in _ranked(live.get(field.name, ()), path):
                yield Choice(f"{name}.{known}:", "in the payload")
        return
    if field is not None:
        for op in OPERATORS[field.kind]:
            yield Choice(f"{name}{op}", f"{field.help}: {_MEANINGS[op]}")
        if field.kind is Kind.JSON:
            yield Choice(f"{name}.", f"{field.help}: a part of it")
    for known in _ranked(fields.names, name):
        found = fields.get(known)
        if found is not None and found is not field:
            yield Choice(f"{known}{_first_operator(found)}", found.help)
    if not name:
        yield from either


def _first_operator(field: Field[Any]) -> str:
    """Return the operator that is typed most for a field of this kind."""
    return OPERATORS[field.kind][0] if field.kind is not Kind.JSON else "."


def _values(
    fields: FieldSet[Any], compared: Token, op: str, written: str, live: Mapping[str, Iterable[str]]
) -> Iterator[Choice]:
    field = fields.get(compared.text)
    if field is None:
        return
    known: Iterable[str] = live.get(".".join((field.name, *compared.path)), ())
    if not compared.path:
        known = [*field.choices, *_SAMPLES.get(field.kind, ()), *known]
    for value in _ranked(known, written):
        yield Choice(value_text(value))
    if not written and op == Op.IS:
        yield Choice("*", "anything that is known")


def _ranked(known: Iterable[str], written: str) -> list[str]:
    """Return what begins with *written*, then what contains it, each once; nothing that cannot be printed."""
    wanted = written.lower()
    fits = [value for value in dict.fromkeys(known) if value and value.isprintable() and wanted in value.lower()]
    return sorted(fits, key=lambda value: not value.lower().startswith(wanted))


def _rest(shape: re.Pattern[str], text: str, cursor: int) -> int:
    found = shape.match(text, cursor)
    return found.end() if found else cursor
