"""`observatory keys`: every command of the app, with its keys, and what is wrong with a keymap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.output import NONE, note, out, out_json, table
from observatory.cli.parser import add_verb
from observatory.model.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from observatory.cli.parser import Verbs
    from observatory.settings.keymap import Keymap


def register(verbs: Verbs) -> None:
    """Add `keys` to the command line."""
    parser = add_verb(
        verbs,
        "keys",
        run,
        summary="list every command of the app with its keys, and what is wrong with the keymap (exit code 2)",
        details="examples:\n  observatory keys --preset vim\n  observatory keys --check keymap.toml",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--preset", metavar="NAME", help="show the keys of k9s, lazygit or vim instead of your own")
    only.add_argument("--check", metavar="FILE", help="show the keys of this file, and check it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table that the app itself is built from, with the keys that hold."""
    from pathlib import Path

    from observatory.settings.keymap import keymap, preset_keymap

    if args.preset is not None:
        keys = preset_keymap(args.preset)
    else:
        keys = keymap(None if args.check is None else Path(args.check))
    if args.json:
        _print_json(keys)
    elif not (args.check and keys.problems):
        _print_table(keys)
    if not keys.problems:
        return 0
    *others, last = keys.problems
    for problem in others:
        note(f"observatory: {problem}")
    raise SettingsError(last, "until that is mended, the default keys hold")


def _print_json(keys: Keymap) -> None:
    from observatory.model.commands import COMMANDS

    out_json(
        [
            {
                "id": command.id,
                "keys": list(keys.keys[command.id]),
                "default": list(command.keys),
                "origin": keys.origins[command.id],
                "name": command.name,
                "scope": command.scope,
                "writes": command.writes,
                "description": command.description,
            }
            for command in COMMANDS
        ]
    )


def _print_table(keys: Keymap) -> None:
    from observatory.model.commands import COMMANDS
    from observatory.settings import keymap_file

    rows = [
        (
            _shown(keys.keys[command.id]),
            _shown(command.keys) if command.id in keys.changed else "",
            f":{command.name}",
            command.id,
            command.description,
        )
        for command in COMMANDS
    ]
    for text in table(("KEYS", "DEFAULT", "NAME", "ID", "WHAT IT DOES"), rows):
        out(text)
    note(f"your own go to {keys.source or keymap_file()}")


def _shown(keys: Iterable[str]) -> str:
    from observatory.settings.keys import key_shown

    return " ".join(map(key_shown, keys)) or NONE
