"""The same picture in fewer bytes: colours that already hold are not sent again.

Textual opens and closes the style of every piece of text, 40 bytes for a number of two. Over SSH that is most of what
a repaint costs, so the driver here sends only what differs from the piece before. `test_lean.py` feeds both streams to
a terminal emulator and compares every cell.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from textual.drivers.linux_driver import LinuxDriver

_SGR: Final = re.compile(r"\x1b\[([0-9;]*)m")
_MOVES: Final = re.compile(r"(?:[\r\n]|\x1b\[\d+;\d+H)+\Z")
_DRAWN_ON_BLANKS: Final = frozenset(["4", "5", "6", "7", "9", "21", "53"])
"""Attributes that can be seen where there is no letter: lines, blinking, reverse."""


class LeanDriver(LinuxDriver):
    """Writes what Textual's driver for Linux and macOS writes, without what repeats itself."""

    def write(self, data: str) -> None:
        """Write *data*, shortened."""
        super().write(lean(data))


class Look(NamedTuple):
    """How the next character will look: codes of its colours, empty for the terminal's own, and its attributes."""

    ink: str = ""
    paper: str = ""
    attributes: frozenset[str] = frozenset()


_PLAIN: Final = Look()


def lean(data: str) -> str:
    """Return *data* without the changes of style that change nothing.

    Args:
        data: Text with escape sequences that begins and ends in the terminal's own style, as each of Textual's
            updates does.
    """
    if "\x1b[0m" not in data:
        return data
    pieces: list[str] = []
    held: Look | None = _PLAIN
    wanted = _PLAIN
    for index, piece in enumerate(_SGR.split(data)):
        if index % 2:
            wanted = _after(wanted, piece)
        elif piece:
            if not (_MOVES.match(piece) or (piece.isspace() and _blank_alike(held, wanted))):
                pieces.append(_change(held, wanted))
                # A sequence that is not known here may have changed the style too.
                held = None if "\x1b" in piece else wanted
            pieces.append(piece)
    pieces.append(_change(held, wanted))
    return "".join(pieces)


def _blank_alike(held: Look | None, wanted: Look) -> bool:
    """Say whether a blank looks the same in both."""
    return (
        held is not None and held.paper == wanted.paper and not (held.attributes | wanted.attributes) & _DRAWN_ON_BLANKS
    )


@lru_cache(maxsize=4096)
def _change(held: Look | None, wanted: Look) -> str:
    """Return the shortest sequence that leads from one look to the other."""
    if held == wanted:
        return ""
    if held is None or held.attributes - wanted.attributes or wanted == _PLAIN:
        return f"\x1b[{';'.join(filter(None, ('0', *sorted(wanted.attributes), wanted.ink, wanted.paper)))}m"
    codes = sorted(wanted.attributes - held.attributes)
    if wanted.ink != held.ink:
        codes.append(wanted.ink or "39")
    if wanted.paper != held.paper:
        codes.append(wanted.paper or "49")
    return f"\x1b[{';'.join(codes)}m"


@lru_cache(maxsize=4096)
def _after(look: Look, codes: str) -> Look:
    """Return *look* as the codes of one sequence change it."""
    ink, paper, attributes = look
    parts = codes.split(";")
    while parts:
        code = parts.pop(0) or "0"
        number = int(code)
        if number in {38, 48}:
            length = 2 if parts[:1] == ["5"] else 4
            code = ";".join((code, *parts[:length]))
            del parts[:length]
        if number == 0:
            ink, paper, attributes = _PLAIN
        elif 30 <= number <= 39 or 90 <= number <= 97:
            ink = "" if number == 39 else code
        elif 40 <= number <= 49 or 100 <= number <= 107:
            paper = "" if number == 49 else code
        elif number in _ENDS:
            attributes -= _ENDS[number]
        else:
            attributes |= {code}
    return Look(ink, paper, attributes)


_ENDS: Final = {
    22: frozenset("12"), 23: frozenset("3"), 24: frozenset("4"), 25: frozenset("56"), 27: frozenset("7"),
    28: frozenset("8"), 29: frozenset("9"), 55: frozenset({"53"}),
}  # fmt: skip
"""Codes that end attributes."""
