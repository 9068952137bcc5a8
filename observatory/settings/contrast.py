"""Can it be read, and told apart: contrast by WCAG 2, and colours as people with other colour vision see them.

Sources: relative luminance and contrast ratio from WCAG 2.2, success criteria 1.4.3 (text, 4.5:1) and 1.4.11 (marks,
3:1); colour vision from Machado, Oliveira and Fernandes 2009, severity 1; distance is CIE 1976 in L*a*b*, D65.
"""

from __future__ import annotations

from math import dist
from typing import TYPE_CHECKING, Final

from observatory.settings.themes import COLORS, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from observatory.settings.themes import ThemeSpec

TEXT: Final = 4.5
"""Least contrast of what is read."""

MARK: Final = 3.0
"""Least contrast of what is only seen: lines, dots, bars."""

MUTED: Final = 0.42
"""Share of the background in the colour of muted text."""

FAINT: Final = 0.68
"""Largest share of the background in the colour of faint text."""

STARK: Final = 18.0
"""Contrast of text on its ground from which on a theme means to be read by tired eyes, its faint text, too."""

CURSOR: Final = 0.35
"""Share of the primary colour in the ground of the row under the cursor."""

GROUNDS: Final = ("background", "surface", "panel")
"""Colours that stand behind others."""

MARKS: Final = ("plot-1", "plot-2", "plot-3", "trend")
"""Colours of our own that are never read; the others name lanes and states in words."""

VISIONS: Final[Mapping[str, tuple[tuple[float, float, float], ...]]] = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""Matrices on linear RGB, by kind of colour vision."""

_PAIRS = (
    ("block-cursor-foreground", "block-cursor-background"),
    ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
    ("footer-key-foreground", "footer-background"),
)
_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)


def faint_pairs(spec: ThemeSpec) -> Iterator[str]:
    """Name every pair of colours of a theme that stand on each other and cannot be told apart well enough.

    Args:
        spec: The theme; of one with the terminal's own colours nothing is known.
    """
    if spec.ansi:
        return
    base = {key: getattr(spec, key) for key in COLORS}
    named = {**base, **{key: value for key, value in spec.variables.items() if _is_hex(value)}}
    cursor = mixed(spec.background, spec.primary, CURSOR)
    grounds = {key: base[key] for key in GROUNDS} | {"the cursor": cursor}
    fronts = {key: TEXT for key in COLORS if key not in GROUNDS} | {
        key: MARK if key in MARKS else TEXT for key in VARIABLES
    }
    for front, least in fronts.items():
        for ground, color in grounds.items():
            needed = least
            if ground == "the cursor" and front != "foreground":
                # There a state is a mark beside words in the colour of text, and a trend stands beside its number.
                needed = min(least, MARK) if front not in MARKS else 0.0
            yield from _said(front, named[front], ground, color, needed)
    yield from _said("muted text", mixed(spec.foreground, spec.background, MUTED), "background", spec.background, TEXT)
    for front, ground in _PAIRS:
        if front in named and ground in named:
            yield from _said(front, named[front], ground, named[ground], TEXT)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two `#rrggbb` colours, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """Return *one* with a *share*, 0 to 1, of *other* in it."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round((a + (b - a) * share) * 255):02x}" for a, b in pairs)


def faint_share(text: str, ground: str) -> float:
    """Return the share of *ground* in the colour of faint text: as much as can still be read."""
    least = TEXT if contrast(text, ground) >= STARK else MARK
    low, high = MUTED, FAINT
    if contrast(mixed(text, ground, low), ground) < least:
        return low
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if contrast(mixed(text, ground, middle), ground) >= least else (low, middle)
    return low


def legible(color: str, text: str, ground: str) -> str:
    """Return *color* with as much of the colour of text in it as it takes to be read on *ground*."""
    for tenth in range(11):
        found = mixed(color, text, tenth / 10)
        if contrast(found, ground) >= TEXT:
            return found
    return text


def distance(one: str, other: str, vision: str = "") -> float:
    """Return how different two colours look: about 2 can just be seen, 100 is black and white.

    Args:
        one: `#rrggbb`.
        other: `#rrggbb`.
        vision: One of `VISIONS`; empty for the usual one.
    """
    return dist(_lab(one, vision), _lab(other, vision))


def _said(front: str, color: str, ground: str, behind: str, needed: float) -> Iterator[str]:
    found = contrast(color, behind)
    if found < needed:
        yield f"{front} on {ground}: contrast {found:.1f}, at least {needed:g} is needed"


def _is_hex(value: str) -> bool:
    return value.startswith("#") and len(value) == 7


def _parts(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _linear(color: str) -> tuple[float, ...]:
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(color))


def _luminance(color: str) -> float:
    red, green, blue = _linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _lab(color: str, vision: str) -> tuple[float, float, float]:
    linear = _linear(color)
    if vision:
        linear = tuple(min(max(part, 0.0), 1.0) for part in _times(VISIONS[vision], linear))
    x, y, z = (
        part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116
        for part in (part / white for part, white in zip(_times(_XYZ, linear), _WHITE, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _times(matrix: tuple[tuple[float, float, float], ...], vector: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
