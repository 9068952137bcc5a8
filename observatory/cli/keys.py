"""`observatory keys`: every command of the app, with its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.output import NONE, out, out_json, table
from observatory.cli.parser import add_verb

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs

_SPELLED = {"question_mark": "?", "colon": ":", "escape": "esc"}
"""Keys that people know by another name than the terminal toolkit."""


def register(verbs: Verbs) -> None:
    """Add `keys` to the command line."""
    parser = add_verb(verbs, "keys", run, summary="list every command of the app with its keys")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table that the app itself is built from."""
    from observatory.model.commands import COMMANDS

    if args.json:
        out_json(
            [
                {
                    "id": command.id,
                    "keys": list(command.keys),
                    "name": command.name,
                    "scope": command.scope,
                    "writes": command.writes,
                    "description": command.description,
                }
                for command in COMMANDS
            ]
        )
        return 0
    rows = [
        (
            " ".join(_SPELLED.get(key, key) for key in command.keys) or NONE,
            f":{command.name}",
            command.id,
            command.description,
        )
        for command in COMMANDS
    ]
    for text in table(("KEYS", "NAME", "ID", "WHAT IT DOES"), rows):
        out(text)
    return 0
