"""What is wrong with a filter, and where."""

from __future__ import annotations

import unicodedata

from observatory.model.errors import UsageError
from observatory.model.text import line

_BEFORE, _AFTER = 40, 40
"""Characters of the filter that are shown on either side of the place."""


class FilterError(UsageError):
    """A filter that cannot be taken.

    Args:
        what: What is wrong, in words.
        text: The whole filter as it was typed.
        column: Where, in characters from 1.
        width: How many characters are meant.
        hint: What to write instead; empty where nothing is to be said.
    """

    def __init__(self, what: str, *, text: str, column: int, width: int = 1, hint: str = "") -> None:
        super().__init__(f"filter: column {column}: {what}", hint)
        self.what = what
        self.text = text
        self.column = column
        self.width = max(width, 1)

    @property
    def pointer(self) -> str:
        """Two printable lines: the filter, or the part of it around the place, and carets under what is meant."""
        at = self.column - 1
        start = max(at - _BEFORE, 0)
        shown = line(self.text[start : at + _AFTER])
        before = line(self.text[start:at])
        carets = min(self.width, max(len(shown) - len(before), 1))
        return f"{shown}\n{' ' * _cells(before)}{'^' * carets}"


def _cells(text: str) -> int:
    """Count the columns of a terminal that printable *text* takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
