"""What a kind of row can be asked for: its fields, what they are, and how each is read from a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from observatory.model.filter.syntax import Op

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R")


class Missing(Enum):
    """Values that are none. What is *unknown* is None."""

    NONE = "none"
    """It is known that there is none: no current task, nothing that waits."""
    OPEN = "open"
    """Not looked at yet; only `Filter.may_match` uses it."""


FieldValue: TypeAlias = "str | bytes | float | bool | tuple[str, ...] | Missing | None"
"""What a field holds: text, a number (durations in seconds, sizes in bytes, times in ms since the epoch), several
names, or nothing; None where it is not known."""


class Kind(StrEnum):
    """What a field is, which decides how it is compared; the values are words for people."""

    NAME = "name"
    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    DURATION = "duration"
    SIZE = "size"
    TIME = "time"
    FLAG = "yes or no"
    JSON = "JSON"


_TEXTUAL = (Op.IS, Op.EQUAL, Op.HAS)
_ORDERED = (Op.ABOVE, Op.AT_LEAST, Op.BELOW, Op.AT_MOST)

OPERATORS: Final[Mapping[Kind, tuple[Op, ...]]] = {
    Kind.NAME: _TEXTUAL,
    Kind.TEXT: (Op.HAS, Op.IS, Op.EQUAL),
    Kind.CHOICE: (Op.IS, Op.EQUAL),
    Kind.NUMBER: (*_ORDERED, Op.IS, Op.EQUAL),
    Kind.DURATION: (*_ORDERED, Op.IS),
    Kind.SIZE: (*_ORDERED, Op.IS),
    Kind.TIME: (*_ORDERED, Op.IS, Op.EQUAL),
    Kind.FLAG: (Op.IS, Op.EQUAL),
    Kind.JSON: (Op.HAS, Op.IS, Op.EQUAL, *_ORDERED),
}
"""What each kind can be compared by, most useful first."""


@dataclass(frozen=True, slots=True)
class Field(Generic[R]):
    """One field of a kind of row.

    Attributes:
        name: What it is called in a filter, in lower case.
        kind: What it is.
        read: Its value of a row; None where that is not known. It must not raise.
        help: What it is, in a few words for people.
        aliases: Other names for it.
        choices: Every value of a choice.
        words: Whether words without a field are looked for in it.
    """

    name: str
    kind: Kind
    read: Callable[[R], FieldValue]
    help: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    words: bool = False


@dataclass(frozen=True)
class FieldSet(Generic[R]):
    """The fields of one kind of row.

    Attributes:
        rows: What the rows are called, in the plural, for errors: `dead letters`.
        fields: The fields, in the order in which they are offered.

    Raises:
        ValueError: Two fields have the same name.
    """

    rows: str
    fields: tuple[Field[R], ...]
    _by_name: dict[str, Field[R]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {name: entry for entry in self.fields for name in (entry.name, *entry.aliases)}
        if len(by_name) < sum(1 + len(entry.aliases) for entry in self.fields):
            raise ValueError(f"two fields of {self.rows} have the same name")
        object.__setattr__(self, "_by_name", by_name)

    def get(self, name: str) -> Field[R] | None:
        """Return the field that is called *name*, by its name or an alias; None if there is none."""
        return self._by_name.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all fields, without aliases."""
        return tuple(entry.name for entry in self.fields)
