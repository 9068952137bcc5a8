"""From tokens to a tree: implicit *and*, `or`, parentheses, negation by `-`, `!` or `not`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.filter.errors import FilterError
from observatory.model.filter.scan import Kind, Token, scan
from observatory.model.filter.syntax import EVERYTHING, And, Compare, Node, Not, Op, Or, Value, Word, is_special

if TYPE_CHECKING:
    from collections.abc import Sequence

DEEPEST = 30
"""Parentheses and negations that may stand within each other."""

LARGEST = 200
"""Conditions that a filter may have."""

_ORDERED = frozenset({Op.ABOVE, Op.AT_LEAST, Op.BELOW, Op.AT_MOST})


def parse(text: str) -> Node:
    """Read a filter.

    Args:
        text: What a person typed; nothing at all means everything.

    Returns:
        The tree; whether its fields exist shows when it is compiled for a kind of row.

    Raises:
        FilterError: It cannot be read; names the column.
    """
    tokens = list(scan(text))
    if not tokens:
        return EVERYTHING
    parser = _Parser(text, tokens)
    node = parser.either(0)
    if (token := parser.peek()) is not None:
        raise parser.error("this parenthesis was never opened", token)
    return node


def joined(kind: type[And | Or], nodes: Sequence[Node]) -> Node:
    """Return *nodes* under one *kind*, without a level for a single one or for one of the same kind."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, kind) else (node,))
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


class _Parser:
    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0
        self._conditions = 0

    def peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def error(self, what: str, token: Token | None, hint: str = "") -> FilterError:
        if token is None:
            return FilterError(what, text=self._text, column=len(self._text) + 1, hint=hint)
        return FilterError(what, text=self._text, column=token.start + 1, width=token.end - token.start, hint=hint)

    def either(self, depth: int) -> Node:
        nodes = [self._all(depth)]
        while self._keyword("or"):
            self._at += 1
            nodes.append(self._all(depth))
        return joined(Or, nodes)

    def _all(self, depth: int) -> Node:
        nodes = [self._one(depth)]
        while (token := self.peek()) is not None and token.kind is not Kind.CLOSE and not self._keyword("or"):
            if self._keyword("and"):
                self._at += 1
            nodes.append(self._one(depth))
        return joined(And, nodes)

    def _one(self, depth: int) -> Node:
        token = self.peek()
        if token is None or token.kind is Kind.CLOSE or self._keyword("or", "and"):
            raise self.error("a condition is missing here", token, 'the words "and" and "or" are looked for in quotes')
        if depth > DEEPEST:
            raise self.error(f"more than {DEEPEST} levels within each other", token)
        negated = self._keyword("not")
        self._at += 1
        if token.kind is Kind.MINUS or negated:
            return Not(self._one(depth + 1))
        if token.kind is Kind.OPEN:
            return self._group(token, depth)
        self._conditions += 1
        if self._conditions > LARGEST:
            raise self.error(f"more than {LARGEST} conditions", token)
        if token.kind is Kind.FIELD:
            return self._compare(token)
        return Word(_value(token, wild=True))

    def _group(self, opened: Token, depth: int) -> Node:
        node = self.either(depth + 1)
        if self.peek() is None:
            raise self.error("this parenthesis is never closed", opened)
        self._at += 1
        return node

    def _compare(self, field: Token) -> Node:
        operator = self._tokens[self._at]
        op = Op(operator.text.removeprefix("!"))
        self._at += 1
        values: list[Value] = []
        while (token := self.peek()) is not None and token.kind is Kind.VALUE:
            values.append(_value(token, wild=op is not Op.HAS))
            self._at += 1
        if op in _ORDERED and len(values) > 1:
            raise self.error(f"{op} takes one value", self._tokens[self._at - 1])
        node = Compare(field.text, op, tuple(values), field.path, field.start + 1, field.end - field.start)
        return Not(node) if operator.text.startswith("!") else node

    def _keyword(self, *words: str) -> bool:
        token = self.peek()
        return token is not None and token.kind is Kind.WORD and not token.quoted and token.text.lower() in words


def _value(token: Token, *, wild: bool) -> Value:
    literal = wild and token.quoted and is_special(token.text)
    return Value(token.text, literal, token.expression, token.start + 1)
