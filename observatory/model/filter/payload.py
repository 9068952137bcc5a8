"""Looking into payloads: a path such as `repo.name` or `files.0`, in JSON that anybody may have written."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST = 1 << 20
"""Bytes up to which a payload is parsed; what is larger counts as unknown."""

MOST = 1000
"""Values that a path may lead to in one payload; the rest is not looked at."""

Leaf: TypeAlias = "str | float | bool | None"
"""A JSON value that holds no others."""


class Unreadable(Exception):  # noqa: N818 (a fact about a payload, not a failure)
    """The payload is too large or too deep to look into."""


class Reader:
    """Parses payloads, and remembers the last one, because a filter may ask it several questions."""

    def __init__(self) -> None:
        self._last: bytes | str | None = None
        self._parsed: object = None

    def leaves(self, payload: bytes | str, path: Sequence[str]) -> list[Leaf]:
        """Return the values that *path* leads to; a list on the way means each of its members.

        Args:
            payload: JSON, perhaps; in what is none there are no values.
            path: Keys of objects and places of lists, from 0.

        Raises:
            Unreadable: The payload is larger than `LARGEST`, or lists stand within lists too deeply.
        """
        if payload is not self._last:
            if len(payload) > LARGEST:
                raise Unreadable
            self._last, self._parsed = payload, _parsed(payload)
        try:
            return list(islice(_walk(self._parsed, path, 0), MOST))
        except RecursionError:
            raise Unreadable from None


def _parsed(payload: bytes | str) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return ()


def _walk(value: object, path: Sequence[str], at: int) -> Iterator[Leaf]:
    if isinstance(value, list):
        step = path[at] if at < len(path) else ""
        if step.isascii() and step.isdigit() and len(step) < 10:
            if int(step) < len(value):
                yield from _walk(value[int(step)], path, at + 1)
        else:
            for member in value[:MOST]:
                yield from _walk(member, path, at)
    elif isinstance(value, dict):
        if at < len(path):
            if path[at] in value:
                yield from _walk(value[path[at]], path, at + 1)
        else:
            # Something is there: an object has no text of its own, but it exists.
            yield ""
    elif at == len(path) and (value is None or isinstance(value, str | int | float | bool)):
        yield value
