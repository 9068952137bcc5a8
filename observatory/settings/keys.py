"""The names of keys: as people write them, and as the terminal toolkit knows them.

`?`, `question_mark` and `esc`, `escape` are the same key; `ctrl+i` is refused, because a terminal sends a tab for it.
"""

from __future__ import annotations

import unicodedata
from string import punctuation
from typing import TYPE_CHECKING, Final

from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED: Final = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete"}
    | {"tab", "enter", "escape", "space", "backspace"}
    | {f"f{number}" for number in range(1, 25)}
)
"""Keys that are called by a word."""

_ALIASES: Final[Mapping[str, str]] = {
    "esc": "escape", "return": "enter", "del": "delete", "ins": "insert", "bksp": "backspace",
    "pgup": "pageup", "pgdn": "pagedown", "page_up": "pageup", "page_down": "pagedown",
}  # fmt: skip
_SHORT: Final[Mapping[str, str]] = {
    "solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at", "hyphen_minus": "minus",
    "plus_sign": "plus", "low_line": "underscore",
}  # fmt: skip
_SAME: Final[Mapping[str, str]] = {
    "ctrl+i": "tab",
    "ctrl+m": "enter",
    "ctrl+j": "enter",
    "ctrl+left_square_bracket": "escape",
}
_NUL: Final = frozenset({"ctrl+at", "ctrl+space"})
"""Two keys that a terminal sends as one, which the toolkit calls `ctrl+@`."""

_MODIFIERS: Final = ("ctrl", "alt", "shift")


def key_name(text: str) -> str:
    """Return the name by which the toolkit knows the key that *text* means.

    Raises:
        ValueError: There is no such key, or a terminal cannot send it.
    """
    if len(text) == 1:
        return _character(text)
    *modifiers, last = (part.strip() for part in text.split("+"))
    if not last and modifiers and text.endswith("++"):
        *modifiers, last = (*modifiers[:-1], "+")
    wrong = ValueError(f"there is no key {line(text, 40)!r}; write ? or ctrl+f, f5, esc, pagedown, space")
    held = [modifier.lower() for modifier in modifiers]
    if not last or len(set(held)) < len(held) or not set(held) <= set(_MODIFIERS):
        raise wrong
    base = _base(last)
    if not base:
        raise wrong
    if len(base) == 1 and "ctrl" in held:
        base = base.lower()
    if len(base) == 1 and "shift" in held:
        if "ctrl" in held:
            raise ValueError(f"{line(text, 40)!r}: a terminal sends the same without shift")
        held.remove("shift")
        base = base.upper()
    name = "+".join((*(modifier for modifier in ("alt", "ctrl", "shift") if modifier in held), base))
    if name in _SAME:
        raise ValueError(f"{name}: a terminal sends {_SAME[name]} for it")
    return "ctrl+@" if name in _NUL else name


def key_shown(name: str) -> str:
    """Return a key's name as people know it: `?` for `question_mark`, `esc` for `escape`."""
    *modifiers, last = name.split("+")
    shown = "esc" if last == "escape" else _CHARACTERS.get(last, last)
    return "+".join((*modifiers, shown))


def is_typed(name: str) -> bool:
    """Say whether the key *name* writes a character into a text field."""
    return "+" not in name and (name == "space" or name not in NAMED)


def _base(text: str) -> str:
    """Return the name of a key without modifiers; empty if there is none of that name."""
    if len(text) == 1:
        return _character(text)
    name = text.lower()
    name = _ALIASES.get(name, name)
    return name if name in NAMED or name in _CHARACTERS else ""


def _character(char: str) -> str:
    if char == " ":
        return "space"
    if not char.isprintable():
        raise ValueError(f"there is no key {line(char, 40)!r}")
    if char.isalnum():
        return char
    if not char.isascii():
        raise ValueError(f"there is no key {line(char, 40)!r}; signs are those of ASCII")
    name = unicodedata.name(char).lower().replace("-", "_").replace(" ", "_")
    return _SHORT.get(name, name)


_CHARACTERS: Final = {_character(char): char for char in punctuation}
"""What long names such as `question_mark` stand for."""
