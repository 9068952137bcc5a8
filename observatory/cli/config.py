"""`observatory config`: every setting with its value and where that came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import named_file, settings_for
from observatory.cli.output import NONE, out, out_json, table
from observatory.cli.parser import add_verb

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs


def register(verbs: Verbs) -> None:
    """Add `config` to the command line."""
    parser = add_verb(
        verbs,
        "config",
        run,
        summary="print every setting, its value and where it came from",
        details='example:\n  $EDITOR "$(observatory config path)"',
    )
    parser.add_argument(
        "what", nargs="?", choices=("path",), metavar="path", help="print where the file of settings is, or would be"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the settings, secrets masked, or the place of their file."""
    if args.what == "path":
        return _paths(args)
    from observatory.settings import describe

    rows = describe(settings_for(args))
    if args.json:
        out_json({row.key: {"value": row.value or None, "origin": row.origin} for row in rows})
        return 0
    for text in table(
        ("SETTING", "VALUE", "FROM", "WHAT IT IS"), ((row.key, row.value or NONE, row.origin, row.help) for row in rows)
    ):
        out(text)
    return 0


def _paths(args: argparse.Namespace) -> int:
    from observatory.settings import config_file, data_dir, keymap_file, state_dir, themes_dir

    file = named_file(args) or config_file()
    if args.json:
        places = {"config": file, "keymap": keymap_file(), "themes": themes_dir(), "data": data_dir()}
        out_json({name: str(path) for name, path in (*places.items(), ("state", state_dir()))})
    else:
        out(str(file))
    return 0
