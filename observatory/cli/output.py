"""Words and tables on stdout: sanitised, aligned, and quiet when nobody reads any more."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from observatory.model.errors import ObservatoryError
from observatory.model.text import ELLIPSIS, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

UNKNOWN = "?"
"""Stands for a value that is not known; never 0."""

NONE = "-"
"""Stands for a value that there is none of."""


WIDEST = 64
"""Characters that a column other than the last one takes at most."""

NARROWEST = 6
"""Columns of a terminal below which no text is shortened."""


class ReaderGone(Exception):  # noqa: N818 (not an error: the reader had enough)
    """Whoever read stdout has closed it."""


def out(text: str, *, flush: bool = False) -> None:
    """Write one line of data to stdout; *text* must be sanitised already.

    Raises:
        ReaderGone: Nobody reads any more.
        ObservatoryError: It cannot be written; names why.
    """
    with _stdout_at_hand():
        print(text, flush=flush)


def finish() -> None:
    """Write out what is still held back.

    Raises:
        ReaderGone: Nobody reads any more.
        ObservatoryError: It cannot be written; names why.
    """
    with _stdout_at_hand():
        if sys.stdout is not None:
            sys.stdout.flush()


def abandon() -> None:
    """Give up what cannot be written, so that the interpreter does not stumble over it on its way out."""
    try:
        finish()
    except (ReaderGone, ObservatoryError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _stdout_at_hand() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise ObservatoryError(f"cannot write to standard output: {error.strerror}") from error


def note(text: str) -> None:
    """Write one line that is not data to stderr."""
    print(line(text, 1000), file=sys.stderr)


def out_json(value: object, *, lines: bool = False) -> None:
    """Write *value* as JSON, in ASCII, so that no foreign character reaches a terminal raw.

    Args:
        value: What `json` can write.
        lines: One value per line, written through at once, for streams that are followed.
    """
    import json

    indent = 2 if not lines and sys.stdout is not None and sys.stdout.isatty() else None
    out(json.dumps(value, indent=indent), flush=lines)


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), width: int | None = None
) -> list[str]:
    """Lay out rows under a head, columns aligned; every cell is made printable.

    Args:
        head: Column names.
        rows: Cells, as many as there are columns.
        right: Names of the columns that are aligned to the right; as numbers they are never shortened.
        width: Columns of the terminal that a line may take; those of the terminal on stdout if None, any number where
            stdout is none, so that what is piped on is whole. The longest texts are shortened until all fit.

    Returns:
        Lines without trailing blanks, the head first.
    """
    last = len(head) - 1
    cells = [list(head), *([line(cell, WIDEST if at < last else 200) for at, cell in enumerate(row)] for row in rows)]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(head))]
    to_right = [name in right for name in head]
    most = terminal_width() if width is None else width
    if most is not None:
        widths = _fitted(widths, [not flag for flag in to_right], most)
        cells = [[_shortened(cell, room) for cell, room in zip(row, widths, strict=True)] for row in cells]
    return [
        "  ".join(
            _pad(cell, width, to_right=flag) for cell, width, flag in zip(row, widths, to_right, strict=True)
        ).rstrip()
        for row in cells
    ]


def terminal_width() -> int | None:
    """Return how many columns the terminal on stdout has; None where stdout is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _fitted(widths: Sequence[int], yielding: Sequence[bool], most: int) -> list[int]:
    """Take from the widest columns that may yield until all fit into *most*, or none can yield any more."""
    fitted = list(widths)
    while sum(fitted) + 2 * (len(fitted) - 1) > most:
        widest = max((at for at, may in enumerate(yielding) if may), key=lambda at: fitted[at], default=None)
        if widest is None or fitted[widest] <= NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _shortened(cell: str, room: int) -> str:
    if _width(cell) <= room:
        return cell
    while cell and _width(cell) > room - 1:
        cell = cell[:-1]
    return cell + ELLIPSIS


def number(value: float | None) -> str:
    """Write a count, or `?` when it is unknown."""
    return UNKNOWN if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    """Write a rate per second, or `?` when it is unknown."""
    return UNKNOWN if value is None else f"{value:.1f}"


def age(seconds: float | None, *, none: str = NONE) -> str:
    """Write a duration in its two largest units, or *none* when there is none."""
    if seconds is None:
        return none
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = int(seconds)
    for unit, size, lesser, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{lesser}"
    return f"{whole}s"


def iso(ms: int | None) -> str | None:
    """Write a time in ms since the epoch as RFC 3339 in UTC; None stays None, and so does a time no calendar has."""
    from datetime import UTC, datetime

    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return None


def clock(ms: int) -> str:
    """Write the time of day of *ms* since the epoch, in the zone of whoever looks."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (OverflowError, OSError, ValueError):
        return UNKNOWN


def plain(value: bytes) -> object:
    """Turn bytes into what JSON can hold: text, or `{"base64": …}` when they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        import base64

        return {"base64": base64.b64encode(value).decode()}


def pretty(payload: bytes) -> str | bytes:
    """Return a JSON payload laid out over lines; any other as it is."""
    import json

    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return payload


def _pad(cell: str, width: int, *, to_right: bool) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if to_right else cell + blanks


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
