"""Tests on text: equal, wild, contained, found by an expression. Upper and lower case are always the same."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

from observatory.model.filter.automaton import Pattern
from observatory.model.filter.syntax import Op, Value

if TYPE_CHECKING:
    from collections.abc import Callable

SEARCHED = 16 * 1024
"""Characters of a text that an expression or a wild word looks through; plain words look through all of it."""


def text_test(op: Op, value: Value, *, part: bool) -> Callable[[str], bool]:
    """Return what decides whether a text fits *value*.

    Args:
        op: `IS`, `EQUAL` or `HAS`.
        value: What was written.
        part: `IS` is content with a part of the text, as it is for errors and payloads.

    Raises:
        ValueError: The expression between slashes cannot be taken.
    """
    if value.expression:
        search = Pattern(value.text).search
        return lambda text: search(text[:SEARCHED])
    wanted = value.text.lower()
    if op is Op.HAS:
        return lambda text: wanted in text.lower()
    if op is Op.IS and not value.literal and ("*" in wanted or "?" in wanted):
        return _wild(wanted, part=part)
    if op is Op.IS and part:
        return lambda text: wanted in text.lower()
    return lambda text: text.lower() == wanted


def is_any(value: Value) -> bool:
    """Say whether *value* is a lone `*`: whatever is known."""
    return value.text == "*" and not value.literal and not value.expression


def _wild(wanted: str, *, part: bool) -> Callable[[str], bool]:
    # `translate` writes atomic groups, so that several stars cost no more than one; brackets are no wildcards here.
    shape = f"*{wanted}*" if part else wanted
    fits = re.compile(translate(shape.replace("[", "[[]"))).match
    return lambda text: fits(text[:SEARCHED].lower()) is not None
