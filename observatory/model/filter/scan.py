"""From the text of a filter to its tokens, each with its place. What a token means is the parser's business."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from observatory.model.filter.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 2000
"""Characters that a filter may have."""

_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"""[^\W\d][\w-]*(?:\.(?:[\w-]+|"(?:[^"\\]|\\.)*"))*""")
_STEP = re.compile(r"""\.(?:([\w-]+)|"((?:[^"\\]|\\.)*)")""")
_OPERATOR = re.compile(r"\s*(>=|<=|!=|!~|[:=~<>])\s*")
_WORD = re.compile(r'[^\s()"]+')
_VALUE = re.compile(r'[^\s(),"]+')
_COMMA = re.compile(r"\s*,\s*")
_QUOTED = {mark: re.compile(rf"{mark}((?:[^{mark}\\]|\\.)*){mark}", re.DOTALL) for mark in "\"'"}
_EXPRESSION = re.compile(r"/((?:[^/\\]|\\.|/(?![\s),]|$))+)/(?=[\s),]|$)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Kind(Enum):
    """What a token is."""

    OPEN = auto()
    CLOSE = auto()
    MINUS = auto()
    WORD = auto()
    FIELD = auto()
    OPERATOR = auto()
    VALUE = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a filter.

    Attributes:
        kind: What it is.
        text: What it says, without quotes or slashes.
        start: Where it begins, in characters from 0.
        end: Where it ends.
        quoted: It stood in quotes.
        expression: It stood between slashes.
        path: What follows a field's name behind dots.
    """

    kind: Kind
    text: str
    start: int
    end: int
    quoted: bool = False
    expression: bool = False
    path: tuple[str, ...] = ()


def scan(text: str) -> Iterator[Token]:
    """Yield the tokens of *text* in their order.

    An operator always follows a field, and at least one value an operator.

    Raises:
        FilterError: A quote is not closed, a value or a field is missing, or the text is too long.
    """
    if len(text) > LONGEST:
        raise FilterError(f"longer than {LONGEST} characters", text=text, column=LONGEST + 1)
    at = _skip(text, 0)
    while at < len(text):
        char = text[at]
        if char in "()":
            yield Token(Kind.OPEN if char == "(" else Kind.CLOSE, char, at, at + 1)
            at += 1
        elif char in "-!":
            yield Token(Kind.MINUS, char, at, at + 1)
            at += 1
        elif (field := _FIELD.match(text, at)) and (operator := _OPERATOR.match(text, field.end())):
            yield _field(field)
            yield Token(Kind.OPERATOR, operator[1], operator.start(1), operator.end(1))
            for token in _values(text, operator):
                yield token
                at = token.end
        else:
            token = _word(text, at)
            yield token
            at = token.end
        at = _skip(text, at)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _field(found: re.Match[str]) -> Token:
    name = found[0].partition(".")[0]
    rest = found[0][len(name) :]
    path = tuple(bare or _ESCAPE.sub(r"\1", quoted) for bare, quoted in _STEP.findall(rest))
    return Token(Kind.FIELD, name.lower(), found.start(), found.end(), path=path)


def _values(text: str, operator: re.Match[str]) -> Iterator[Token]:
    """Yield the values behind *operator*: one, or several between commas."""
    at, before = operator.end(), operator[1]
    while True:
        token = _value(text, at, before, expressions="~" in operator[1])
        yield token
        comma = _COMMA.match(text, token.end)
        if comma is None:
            return
        at, before = comma.end(), ","


def _value(text: str, at: int, before: str, *, expressions: bool) -> Token:
    if at >= len(text) or text[at] in "(),":
        raise FilterError(f"a value is missing after {before}", text=text, column=at + 1)
    if expressions and (found := _EXPRESSION.match(text, at)):
        return Token(Kind.VALUE, found[1], at, found.end(), expression=True)
    return _quoted(Kind.VALUE, text, at) if text[at] in _QUOTED else _bare(Kind.VALUE, _VALUE, text, at)


def _word(text: str, at: int) -> Token:
    if text[at] in _QUOTED:
        return _quoted(Kind.WORD, text, at)
    if text[at] in ":=~<>":
        raise FilterError(
            f"a field is missing before {text[at]}", text=text, column=at + 1, hint="write it as in idle>5m"
        )
    return _bare(Kind.WORD, _WORD, text, at)


def _bare(kind: Kind, shape: re.Pattern[str], text: str, at: int) -> Token:
    found = shape.match(text, at)
    end = found.end() if found else at
    if text.startswith('"', end):
        raise FilterError("a quote inside a word", text=text, column=end + 1, hint="put the whole word in quotes")
    return Token(kind, text[at:end], at, end)


def _quoted(kind: Kind, text: str, at: int) -> Token:
    found = _QUOTED[text[at]].match(text, at)
    if found is None:
        raise FilterError("this quote is never closed", text=text, column=at + 1)
    return Token(kind, _ESCAPE.sub(r"\1", found[1]), at, found.end(), quoted=True)
