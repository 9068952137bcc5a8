"""The tree that a filter is read into, and its way back to text.

Trees are compared by meaning: where something stood in the text takes no part. `describe` and `parse` are inverse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

_BARE_WORD = re.compile(r"[\w@./*?+%#][\w@./*?+%#-]*")
_BARE_VALUE = re.compile(r"""[^\s(),"'/][^\s(),"]*""")
_BARE_STEP = re.compile(r"[\w-]+")
_KEYWORDS = frozenset({"and", "or", "not"})


class Op(StrEnum):
    """How a field is compared with a value."""

    IS = ":"
    """Is it, by the rules of the field: the whole of a name (`*` and `?` are wild), a part of a longer text."""
    EQUAL = "="
    """Is exactly it."""
    HAS = "~"
    """Contains it, or the expression between slashes is found in it."""
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


@dataclass(frozen=True, slots=True)
class Value:
    """What a field is compared with, as it was written.

    Attributes:
        text: The value without its quotes or slashes.
        literal: It stood in quotes, and characters in it would mean something else without them.
        expression: It stood between slashes: a regular expression.
        column: Where it begins, in characters from 1.
    """

    text: str
    literal: bool = False
    expression: bool = False
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """A field, an operator, and values of which one must fit.

    Attributes:
        name: Name of the field, in lower case.
        op: The operator.
        values: At least one.
        path: The way into a payload, `repo`, `name` for `payload.repo.name`; empty for the field itself.
        column: Where it begins, in characters from 1.
        width: Characters of the field's name and path.
    """

    name: str
    op: Op
    values: tuple[Value, ...]
    path: tuple[str, ...] = ()
    column: int = field(default=1, compare=False)
    width: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Word:
    """A word that any of the text fields may contain."""

    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    node: Node


@dataclass(frozen=True, slots=True)
class And:
    """All of these; none at all means everything."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these."""

    nodes: tuple[Node, ...]


Node: TypeAlias = "Compare | Word | Not | And | Or"
"""A filter, or a part of one."""

EVERYTHING = And(())
"""The empty filter."""


def describe(node: Node) -> str:
    """Return *node* as canonical text: what `parse` would read into the same tree."""
    if isinstance(node, And):
        return " ".join(_within(part, Or) for part in node.nodes)
    if isinstance(node, Or):
        return " or ".join(describe(part) for part in node.nodes)
    if isinstance(node, Not):
        return f"-{_within(node.node, And, Or)}"
    if isinstance(node, Word):
        bare = _BARE_WORD.fullmatch(node.value.text) is not None and node.value.text.lower() not in _KEYWORDS
        return _written(node.value, bare=bare or is_special(node.value.text))
    values = ",".join(_operand(value, node.op) for value in node.values)
    return f"{'.'.join((node.name, *map(_step, node.path)))}{node.op}{values}"


def quote(text: str) -> str:
    """Return *text* in quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def value_text(text: str) -> str:
    """Return *text* as a value that is read as exactly this text: bare where it can be."""
    return text if _BARE_VALUE.fullmatch(text) and not is_special(text) else quote(text)


def is_special(text: str) -> bool:
    """Say whether *text* without quotes would be more than itself: wild, or a range."""
    return "*" in text or "?" in text or ".." in text


def _within(node: Node, *kinds: type[And | Or]) -> str:
    text = describe(node)
    return f"({text})" if isinstance(node, kinds) else text


def _step(text: str) -> str:
    return text if _BARE_STEP.fullmatch(text) else quote(text)


def _operand(value: Value, op: Op) -> str:
    if value.expression:
        return f"/{value.text}/"
    bare = _BARE_VALUE.fullmatch(value.text) is not None
    return _written(value, bare=bare or (op is not Op.HAS and is_special(value.text)))


def _written(value: Value, *, bare: bool) -> str:
    return value.text if bare and not value.literal else quote(value.text)
