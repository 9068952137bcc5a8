"""`observatory themes`: the colours there are, one of them in full, and what is wrong with a file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from observatory.cli.attach import settings_for
from observatory.cli.output import NONE, note, out, out_json, table
from observatory.cli.parser import add_verb
from observatory.model.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs
    from observatory.settings import ThemeSpec


def register(verbs: Verbs) -> None:
    """Add `themes` to the command line."""
    parser = add_verb(
        verbs,
        "themes",
        run,
        summary="list the themes, and the theme files that are broken (exit code 2 if any is)",
        theme=True,
        details="examples:\n  observatory themes --show paper\n  observatory themes --check mine.toml",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--show", metavar="NAME", help="print every colour of this theme")
    only.add_argument("--check", metavar="FILE", help="check this file: keys, colours, contrast")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List every theme, show one, or check a file."""
    if args.check is not None:
        return _check(args)
    if args.show is not None:
        from observatory.settings import themes

        return _show(args, themes().get(args.show))
    return _list(args)


def _list(args: argparse.Namespace) -> int:
    """List every theme, mark the chosen one, and name what is wrong."""
    from observatory.settings import themes, themes_dir

    found = themes()
    chosen = settings_for(args).theme
    if args.json:
        out_json(
            {
                "chosen": chosen,
                "themes": [
                    {"name": spec.name, "dark": spec.dark, "ansi": spec.ansi, "source": str(spec.source)}
                    for spec in found.specs.values()
                ],
                "problems": list(found.problems),
                "folder": str(themes_dir()),
            }
        )
    else:
        rows = [
            ("*" if spec.name == chosen else "", spec.name, _kind(spec), str(spec.source))
            for spec in found.specs.values()
        ]
        for text in table(("", "THEME", "KIND", "FILE"), rows):
            out(text)
        note(f"your own go to {themes_dir()}")
    found.get(chosen)
    if not found.problems:
        return 0
    *others, last = found.problems
    for problem in others:
        note(f"observatory: {problem}")
    raise SettingsError(last, "the other themes can be used")


def _check(args: argparse.Namespace) -> int:
    """Read a theme file, and name what is too faint in it; that is a matter of taste and no failure."""
    from pathlib import Path

    from observatory.settings.contrast import faint_pairs
    from observatory.settings.themes import read_theme

    spec = read_theme(Path(args.check))
    faint = list(faint_pairs(spec))
    if args.json:
        out_json({"name": spec.name, "dark": spec.dark, "ansi": spec.ansi, "source": str(spec.source), "faint": faint})
        return 0
    for pair in faint:
        out(f"faint  {pair}")
    out(f"{args.check} is a theme: {spec.name}, {_kind(spec)}")
    return 0


def _show(args: argparse.Namespace, spec: ThemeSpec) -> int:
    """Print the colours of a theme, each with its contrast on the background, and as a patch on a terminal."""
    from observatory.settings.contrast import contrast
    from observatory.settings.themes import COLORS

    colors = {key: getattr(spec, key) for key in COLORS} | dict(spec.variables)
    if args.json:
        out_json(
            {"name": spec.name, "dark": spec.dark, "ansi": spec.ansi, "source": str(spec.source), "colors": colors}
        )
        return 0
    rows = [
        (key, value, f"{contrast(value, spec.background):.1f}" if _is_plain(value) and not spec.ansi else NONE)
        for key, value in colors.items()
    ]
    head, *lines = table(("KEY", "COLOUR", "CONTRAST"), rows, right=("CONTRAST",))
    patches = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    out(head)
    for text, value in zip(lines, colors.values(), strict=True):
        out(f"{text}  {_patch(value)}" if patches and _is_plain(value) else text)
    return 0


def _is_plain(value: str) -> bool:
    return value.startswith("#") and len(value) == 7


def _patch(color: str) -> str:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"\x1b[48;2;{red};{green};{blue}m      \x1b[0m"


def _kind(spec: ThemeSpec) -> str:
    return ("dark" if spec.dark else "light") + (", the terminal's own colours" if spec.ansi else "")
