r"""Regular expressions that cannot hang: a dialect without backtracking, in time proportional to the text.

Python's own `re` takes exponential time for a pattern such as `(a+)+$`, and nobody can tell beforehand. Here a
pattern becomes a non-deterministic automaton whose sets of states are remembered as they are met (a lazy
deterministic automaton), so that a character of the text costs one lookup whatever the pattern is.

The dialect: literals, `.`, `[a-z]`, `[^…]`, `\d \w \s \D \W \S`, `* + ? {m} {m,} {m,n}`, `|`, `( )`, `(?: )`,
`^`, `$`, and `\` before anything else. Upper and lower case are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST: Final = 400
"""Characters that a pattern may have."""

LARGEST: Final = 1000
"""Steps that its program may have once counted repeats are written out."""

DEEPEST: Final = 20
"""Groups that may stand within each other."""

_REMEMBERED: Final = 4096
"""Transitions that are kept before the memory is emptied and filled anew."""

_CLASSES: Final[dict[str, Callable[[str], bool]]] = {
    "d": str.isdigit,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
    "D": lambda char: not char.isdigit(),
    "W": lambda char: not (char.isalnum() or char == "_"),
    "S": lambda char: not char.isspace(),
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(slots=True)
class _Step:
    """One step of a program: eat a character, go on in several places, or stand at an edge of the text."""

    eats: Callable[[str], bool] | None = None
    goes: tuple[int, ...] = ()
    edge: str = ""


@dataclass(eq=False, slots=True)
class _State:
    """A set of steps that the program may be at, after some text."""

    steps: frozenset[int]
    found: bool
    found_at_end: bool
    moves: dict[str, _State] = field(default_factory=dict)


class Pattern:
    """A compiled regular expression.

    Args:
        source: The pattern.

    Raises:
        ValueError: It is not in the dialect, or too large; the reason names the place in it.
    """

    def __init__(self, source: str) -> None:
        if len(source) > LONGEST:
            raise ValueError(f"the pattern is longer than {LONGEST} characters")
        self._program = _Compiler(source).program()
        self._end = len(self._program) - 1
        self._again = self._follow([0], "")
        self._forget()

    def search(self, text: str) -> bool:
        """Say whether the pattern is found anywhere in *text*, whatever the case."""
        state = self._first
        for char in text.lower():
            if state.found:
                return True
            state = state.moves.get(char) or self._move(state, char)
        return state.found or state.found_at_end

    def _forget(self) -> None:
        self._states: dict[frozenset[int], _State] = {}
        self._moves = 0
        # Not among the others: what ends here is an empty text, at its beginning and its end at once.
        steps = self._follow([0], "^")
        self._first = _State(steps, self._end in steps, self._end in self._follow([0], "^$"))

    def _move(self, state: _State, char: str) -> _State:
        program = self._program
        eaten = [at + 1 for at in state.steps if (eats := program[at].eats) is not None and eats(char)]
        after = self._state(self._follow(eaten, "") | self._again)
        self._moves += 1
        if self._moves > _REMEMBERED:
            self._forget()
        else:
            state.moves[char] = after
        return after

    def _state(self, steps: frozenset[int]) -> _State:
        state = self._states.get(steps)
        if state is None:
            at_end = self._end in self._follow(steps, "$")
            state = self._states[steps] = _State(steps, self._end in steps, at_end)
        return state

    def _follow(self, starts: Iterable[int], edges: str) -> frozenset[int]:
        """Return every step that is reached from *starts* without eating a character, at these edges of the text."""
        seen: set[int] = set()
        waiting = list(starts)
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            step = self._program[at]
            if step.edge and step.edge in edges:
                waiting.append(at + 1)
            waiting.extend(step.goes)
        return frozenset(seen)


class _Compiler:
    """Reads a pattern from left to right and writes its program."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    def program(self) -> list[_Step]:
        steps = self._choice()
        if self._at < len(self._source):
            raise self._error("this parenthesis was never opened")
        return [*steps, _Step()]

    def _choice(self) -> list[_Step]:
        steps = self._sequence()
        while self._next("|"):
            other = self._sequence()
            # Both ways lead behind the second; distances are relative until `_shifted` places them.
            steps = [
                _Step(goes=(1, len(steps) + 2)),
                *_shifted(steps, 1),
                _Step(goes=(len(steps) + len(other) + 2,)),
                *_shifted(other, len(steps) + 2),
            ]
            self._bound(len(steps))
        return steps

    def _sequence(self) -> list[_Step]:
        steps: list[_Step] = []
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            steps += _shifted(self._repeated(self._atom()), len(steps))
            self._bound(len(steps))
        return steps

    def _repeated(self, atom: list[_Step]) -> list[_Step]:
        while True:
            if self._next("*"):
                atom = _any_number(atom)
            elif self._next("+"):
                atom = [*atom, *_shifted(_any_number(atom), len(atom))]
            elif self._next("?"):
                atom = _maybe(atom)
            elif self._source.startswith("{", self._at) and (bounds := self._bounds()):
                atom = self._counted(atom, *bounds)
            else:
                return atom
            self._bound(len(atom))

    def _counted(self, atom: list[_Step], low: int, high: int | None) -> list[_Step]:
        self._bound((len(atom) + 1) * max(low, high or 0))
        steps: list[_Step] = []
        for _ in range(low):
            steps += _shifted(atom, len(steps))
        if high is None:
            return steps + _shifted(_any_number(atom), len(steps))
        for _ in range(high - low):
            steps += _shifted(_maybe(atom), len(steps))
        return steps

    def _bounds(self) -> tuple[int, int | None] | None:
        """Read `{m}`, `{m,}` or `{m,n}`; a brace that begins none of them is a character."""
        inside, brace, _ = self._source[self._at + 1 :].partition("}")
        low, comma, high = inside.partition(",")
        if not brace or not _is_number(low) or (high and not _is_number(high)):
            return None
        bounds = int(low), int(high) if high else None if comma else int(low)
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self._error("the second number is smaller than the first")
        self._at += len(inside) + 2
        return bounds

    def _atom(self) -> list[_Step]:
        char = self._source[self._at]
        if char in "*+?":
            raise self._error(f"there is nothing before {char} that could be repeated")
        self._at += 1
        if char == "(":
            return self._group()
        if char in "^$":
            return [_Step(edge=char)]
        if char == ".":
            return [_Step(eats=lambda _char: True)]
        if char == "[":
            return [_Step(eats=self._set())]
        if char == "\\":
            return [_Step(eats=self._escaped())]
        return [_Step(eats=char.lower().__eq__)]

    def _group(self) -> list[_Step]:
        opened = self._at - 1
        if self._next("?") and not self._next(":"):
            raise self._error("groups are ( ) or (?: ); looking around is not possible")
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} groups within each other")
        steps = self._choice()
        self._depth -= 1
        if not self._next(")"):
            self._at = opened
            raise self._error("this parenthesis is never closed")
        return steps

    def _escaped(self) -> Callable[[str], bool]:
        if self._at >= len(self._source):
            raise self._error("nothing follows the backslash")
        char = self._source[self._at]
        if char.isalnum() and char not in _CLASSES and char not in _ESCAPES:
            raise self._error(f"there is no \\{char}; there are \\d \\w \\s \\D \\W \\S \\n \\t \\r")
        self._at += 1
        return _CLASSES.get(char) or _ESCAPES.get(char, char.lower()).__eq__

    def _set(self) -> Callable[[str], bool]:
        opened = self._at - 1
        negated = self._next("^")
        tests: list[Callable[[str], bool]] = []
        while not (tests and self._next("]")):
            if self._at >= len(self._source):
                self._at = opened
                raise self._error("this bracket is never closed")
            tests.append(self._member())

        def within(char: str) -> bool:
            upper = char.upper()
            same = char if len(upper) > 1 else upper
            return any(test(char) or test(same) for test in tests) is not negated

        return within

    def _member(self) -> Callable[[str], bool]:
        char = self._source[self._at]
        self._at += 1
        if char == "\\":
            self._at -= 1
            if (following := self._source[self._at + 1 : self._at + 2]) in _CLASSES or following in _ESCAPES:
                self._at += 1
                return self._escaped()
            self._at += 1
            if self._at >= len(self._source):
                raise self._error("nothing follows the backslash")
            char = self._source[self._at]
            self._at += 1
        last = self._source[self._at + 1 : self._at + 2]
        if self._source.startswith("-", self._at) and last not in {"", "]", "\\"}:
            if last < char:
                raise self._error("the range goes backwards")
            self._at += 2
            return lambda other: char <= other <= last
        return char.__eq__

    def _next(self, char: str) -> bool:
        """Step over *char* if it comes next."""
        found = self._source.startswith(char, self._at)
        self._at += len(char) if found else 0
        return found

    def _bound(self, steps: int) -> None:
        if steps > LARGEST:
            raise self._error("the pattern is too large once its repeats are written out")

    def _error(self, what: str) -> ValueError:
        return ValueError(f"{what} (character {self._at + 1} of the pattern)")


def _shifted(steps: list[_Step], by: int) -> list[_Step]:
    """Return *steps* as they read when they stand *by* places further on."""
    return [_Step(step.eats, tuple(to + by for to in step.goes), step.edge) for step in steps]


def _any_number(atom: list[_Step]) -> list[_Step]:
    return [_Step(goes=(1, len(atom) + 2)), *_shifted(atom, 1), _Step(goes=(0,))]


def _maybe(atom: list[_Step]) -> list[_Step]:
    return [_Step(goes=(1, len(atom) + 1)), *_shifted(atom, 1)]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
