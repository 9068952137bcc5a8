"""The one door for foreign text: whatever comes from the bus passes here before a person or a terminal sees it.

Escape sequences, C1 controls and bidirectional overrides in a payload reach the terminal raw through every
widget there is, so they are made visible here, once, and length is bounded.
"""

from __future__ import annotations

ELLIPSIS = "…"
"""Stands where text was cut."""

LINE_LIMIT = 256
"""Longest single line that leaves this door, in characters, unless the caller asks for another bound."""

BLOCK_LIMIT = 64 * 1024
"""Longest block of text that leaves this door, in characters, unless the caller asks for another bound."""

_SUBSTITUTE = "\N{REPLACEMENT CHARACTER}"
_SPACES = frozenset(
    "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\N{EM SPACE}\N{EN SPACE}\N{THIN SPACE}"
)


def line(value: str | bytes | None, limit: int = LINE_LIMIT) -> str:
    """Return *value* as one printable line of at most *limit* characters.

    Args:
        value: Foreign text; bytes are read as UTF-8 and what is not UTF-8 becomes a replacement character.
        limit: Longest result in characters; a cut is marked by an ellipsis that counts.

    Returns:
        Text in which every character is printable: controls are shown as their control pictures.
    """
    text, cut = _decoded(value, limit)
    if not text.isprintable():
        text = "".join(map(_visible, text))
    return text[: max(limit - 1, 0)] + ELLIPSIS if cut else text


def block(value: str | bytes | None, limit: int = BLOCK_LIMIT) -> str:
    r"""Return *value* as printable text that keeps its line breaks; tabs become four spaces.

    Args:
        value: Foreign text; bytes are read as UTF-8 with replacement characters.
        limit: Longest result in characters; a cut is marked by an ellipsis that counts.

    Returns:
        Text in which every character is printable or `\n`.
    """
    text, cut = _decoded(value, limit)
    text = text.replace("\r\n", "\n").expandtabs(4)
    text = "\n".join(part if part.isprintable() else "".join(map(_visible, part)) for part in text.split("\n"))
    return text[: max(limit - 1, 0)] + ELLIPSIS if cut or len(text) > limit else text


def _decoded(value: str | bytes | None, limit: int) -> tuple[str, bool]:
    """Decode no more of *value* than can be shown, and say whether anything was left out."""
    if value is None:
        return "", False
    if isinstance(value, bytes):
        # Four bytes is the longest UTF-8 sequence, so this many bytes always hold limit + 1 characters.
        value = value[: (limit + 1) * 4].decode("utf-8", "replace")
    return value[:limit], len(value) > limit


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    return " " if char in _SPACES else _SUBSTITUTE
