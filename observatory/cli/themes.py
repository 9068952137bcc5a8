"""`observatory themes`: the colours there are, and what is wrong with the files that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import settings_for
from observatory.cli.output import note, out, out_json, table
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
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
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


def _kind(spec: ThemeSpec) -> str:
    return ("dark" if spec.dark else "light") + (", the terminal's own colours" if spec.ansi else "")
