"""A filter that is ready to use: compiled for one kind of row, asked once per row.

What a row does not know is neither true nor false, and so is what follows from it: a row matches only if it is
*known* to. The same logic tells beforehand what cannot match, so that nobody has to fetch it.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from observatory.model.filter.errors import FilterError
from observatory.model.filter.fields import Field, FieldSet, FieldValue, Missing
from observatory.model.filter.interval import ALL, NOTHING, ORDERED, Interval
from observatory.model.filter.parse import parse
from observatory.model.filter.syntax import And, Compare, Node, Not, Op, Or, Word, describe
from observatory.model.filter.values import Test, Tests, Truth
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R")

_Ask: TypeAlias = "Callable[[Any], Truth]"
_Read: TypeAlias = "Callable[[Any], FieldValue]"


class Filter(Generic[R]):
    """A filter over rows of one kind.

    Attributes:
        text: What was typed.
        node: The tree that it was read into.
        fields: The fields it may speak of.

    Args:
        text: What a person typed; nothing at all lets everything through.
        fields: The fields of the rows.
        now_ms: The present, for times such as `-5m` and `14:03`, in ms since the epoch.
        zone: Zone of times that name none.

    Raises:
        FilterError: It cannot be read, or asks for something these rows do not have; names the column.
    """

    def __init__(self, text: str, fields: FieldSet[R], *, now_ms: int, zone: tzinfo = UTC) -> None:
        self.text = text
        self.node = parse(text)
        self.fields = fields
        self._tests = Tests(text, now_ms, zone)
        # A comparison becomes a test once; rows and `may_match` only differ in where a value comes from.
        self._ask_row = self._ask(self.node, lambda field: field.read)
        self._ask_known = self._ask(self.node, lambda field: lambda known: known.get(field.name, Missing.OPEN))

    def __str__(self) -> str:
        return describe(self.node)

    @property
    def empty(self) -> bool:
        """Whether it lets everything through because nothing was typed."""
        return self.node == And(())

    def matches(self, row: R) -> bool:
        """Say whether *row* is known to match."""
        return self._ask_row(row) is True

    __call__ = matches

    def may_match(self, known: Mapping[str, FieldValue]) -> bool:
        """Say whether a row of which only *known* is known could match.

        A lane, a consumer or a type for which the answer is no need not be read at all.

        Args:
            known: Values by field name; fields that are not named may hold anything.
        """
        return self._ask_known(known) is not False

    def bounds(self, name: str) -> Interval:
        """Return the smallest interval that holds every value of the field *name* that a matching row can have.

        It is empty if no row can match. For fields that have no order, or that no condition bounds, it is `ALL`.
        """
        return self._bounds(self.node, name, opposite=False)

    # -- the tree ---------------------------------------------------------------------------------------------

    def _ask(self, node: Node, read: Callable[[Field[R]], _Read]) -> _Ask:
        if isinstance(node, Compare):
            field = self._field(node)
            return _on(read(field), self._tests.test(field, node))
        if isinstance(node, Word):
            test = self._tests.texts(node.value)
            return _any([_on(read(field), test) for field in self.fields.fields if field.words])
        if isinstance(node, Not):
            return _not(self._ask(node.node, read))
        asks = [self._ask(part, read) for part in sorted(node.nodes, key=_cost)]
        return _all(asks) if isinstance(node, And) else _any(asks)

    def _field(self, node: Compare) -> Field[R]:
        field = self.fields.get(node.name)
        if field is None:
            close = get_close_matches(node.name, self.fields.names, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}? " if close else "to look for the text, put it in quotes; "
            raise FilterError(
                f"{self.fields.rows} have no field {line(node.name, 40)!r}",
                text=self.text,
                column=node.column,
                width=node.width,
                hint=f"{hint}there are {', '.join(self.fields.names)}",
            )
        return field

    def _bounds(self, node: Node, name: str, *, opposite: bool) -> Interval:
        if isinstance(node, Not):
            return self._bounds(node.node, name, opposite=not opposite)
        if isinstance(node, And | Or):
            parts = [self._bounds(part, name, opposite=opposite) for part in node.nodes]
            found = ALL if isinstance(node, And) is not opposite else NOTHING
            for part in parts:
                found = found.both(part) if isinstance(node, And) is not opposite else found.hull(part)
            return found
        if isinstance(node, Word):
            return ALL
        field = self._field(node)
        known = node.op is Op.IS and any(value.text == "*" for value in node.values)
        if field.name != name or field.kind not in ORDERED or known:
            return ALL
        intervals = self._tests.intervals(field, node)
        found = ALL if opposite else NOTHING
        for part in intervals:
            found = found.both(part.opposite()) if opposite else found.hull(part)
        return found


def _cost(node: Node) -> int:
    """Rank conditions, so that payloads are opened only for rows that have passed everything else."""
    if isinstance(node, Not):
        return _cost(node.node)
    if isinstance(node, And | Or):
        return max(map(_cost, node.nodes), default=0)
    if isinstance(node, Word):
        return 2
    return 3 if node.path else 1 if any(value.expression for value in node.values) else 0


def _on(read: _Read, test: Test) -> _Ask:
    return lambda row: test(read(row))


def _not(ask: _Ask) -> _Ask:
    def opposite(row: object) -> Truth:
        truth = ask(row)
        return None if truth is None else not truth

    return opposite


def _all(asks: list[_Ask]) -> _Ask:
    def every(row: object) -> Truth:
        found: Truth = True
        for ask in asks:
            truth = ask(row)
            if truth is False:
                return False
            if truth is None:
                found = None
        return found

    return every


def _any(asks: list[_Ask]) -> _Ask:
    def some(row: object) -> Truth:
        found: Truth = False
        for ask in asks:
            truth = ask(row)
            if truth:
                return True
            if truth is None:
                found = None
        return found

    return some
