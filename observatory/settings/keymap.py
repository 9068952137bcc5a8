"""Which keys carry out which commands: the defaults, a preset, and the user's own file over them.

A keymap file is TOML: optionally `preset`, and a table `[keys]` with a key, a list of keys, or an empty list for each
command id. With anything wrong in it the whole file is left out, so that nobody works with half of a keymap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from observatory.model.commands import COMMANDS, VIEWS, Command, commands_of
from observatory.model.errors import SettingsError
from observatory.model.text import line
from observatory.settings import paths
from observatory.settings.keys import is_typed, key_name, key_shown
from observatory.settings.toml import Document, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Keys = Mapping[str, tuple[str, ...]]

PRESETS: Final[Mapping[str, Keys]] = {
    "k9s": {
        "app.palette": ("ctrl+p", "ctrl+a"),
        "app.back": ("q", "backspace", "left_square_bracket"),
        "timeline.previous-marker": ("underscore",),
        "reading.reload": ("r", "ctrl+r"),
        "table.range": ("v", "ctrl+@"),
    },
    "lazygit": {
        "list.top": ("less_than_sign", "g", "home"),
        "list.bottom": ("greater_than_sign", "G", "end"),
        "list.page-down": ("full_stop", "pagedown"),
        "list.page-up": ("comma", "pageup"),
        "panel.next": ("tab", "right_square_bracket"),
        "panel.previous": ("shift+tab", "left_square_bracket"),
        "panel.maximise": ("plus", "m"),
        "jobs.faster": ("equals_sign",),
        "list.copy": ("ctrl+o", "c"),
    },
    "vim": {
        "list.copy": ("y",),
        "list.copy-json": ("Y",),
        "app.back": ("q", "backspace", "ctrl+o"),
        "panel.next": ("tab", "ctrl+w"),
        "table.range": ("V", "v"),
        "reading.reload": ("r", "ctrl+l"),
    },
}
"""Keys that fingers bring along from other programs; what a preset does not name keeps its default."""

ALWAYS: Final = "app.quit"
"""The command that always keeps a key."""


@dataclass(frozen=True, slots=True)
class Keymap:
    """The keys that hold.

    Attributes:
        keys: Keys of every command, by its id, in the names of the toolkit; empty for none.
        origins: Where they come from, by command id: `default`, `preset …` or `file`.
        problems: One line for everything that is wrong with the file: file, key, line, what.
        source: The file; None if there is none.
    """

    keys: Keys
    origins: Mapping[str, str]
    problems: tuple[str, ...] = ()
    source: Path | None = None

    @property
    def changed(self) -> Keys:
        """The keys of the commands that differ from their defaults."""
        return {entry.id: self.keys[entry.id] for entry in COMMANDS if self.keys[entry.id] != entry.keys}


def keymap(file: Path | None = None) -> Keymap:
    """Return the keys that hold now.

    Args:
        file: The keymap file; the usual one if None, which need not exist.
    """
    path = file or paths.keymap_file()
    try:
        document = Document.read(path)
    except FileNotFoundError:
        missing = (f"{path}: there is no such keymap file",) if file else ()
        return Keymap(*_merged({}, ""), problems=missing)
    except SettingsError as error:
        return Keymap(*_merged({}, ""), problems=(str(error),), source=path)
    own, preset, problems = _read(document)
    keys, origins = _merged(own, preset)
    problems = (*problems, *_clashes(keys, origins, document))
    if problems:
        return Keymap(*_merged({}, ""), problems=problems, source=path)
    return Keymap(keys, origins, source=path)


def preset_keymap(name: str) -> Keymap:
    """Return the keys of a preset, without any file.

    Raises:
        SettingsError: There is no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(f"there is no preset {line(name, 40)!r}", nearest(name, PRESETS))
    return Keymap(*_merged({}, name))


def clashes(keys: Keys) -> Iterator[tuple[str, str, Command, Command]]:
    """Yield every key that means two things in one view: the view, the key and both commands; each pair once."""
    seen: set[tuple[str, str, str]] = set()
    for view in VIEWS:
        taken: dict[str, Command] = {}
        for command in commands_of(view):
            for key in keys[command.id]:
                other = taken.setdefault(key, command)
                if other is not command and (key, other.id, command.id) not in seen:
                    seen.add((key, other.id, command.id))
                    yield view, key, other, command


def _read(document: Document) -> tuple[dict[str, tuple[str, ...]], str, tuple[str, ...]]:
    """Return the keys that the file sets, its preset, and what is wrong with it."""
    own: dict[str, tuple[str, ...]] = {}
    problems: list[SettingsError] = []
    preset = document.data.get("preset", "")
    known = {command.id: command for command in COMMANDS}
    problems += [
        document.error((key,), "there is no such key", nearest(key, ("preset", "keys")))
        for key in document.data
        if key not in {"preset", "keys"}
    ]
    if not isinstance(preset, str) or (preset and preset not in PRESETS):
        problems.append(document.error(("preset",), f"must be one of {', '.join(PRESETS)}"))
        preset = ""
    table = document.data.get("keys", {})
    if not isinstance(table, dict):
        problems.append(document.error(("keys",), "must be a table, [keys]"))
        table = {}
    for identity, value in _flat(table):
        where = ("keys", *identity.split("."))
        if identity not in known:
            problems.append(document.error(where, "there is no such command", nearest(identity, known)))
            continue
        try:
            own[identity] = _keys_of(known[identity], value)
        except ValueError as error:
            problems.append(document.error(where, str(error)))
    return own, preset, tuple(map(str, problems))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """Yield ids and values, however the dots of the ids were written."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _keys_of(command: Command, value: object) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError('must be a key such as "x" or "ctrl+f", a list of keys, or []')
    keys = tuple(dict.fromkeys(map(key_name, words)))
    if command.id == ALWAYS and not keys:
        raise ValueError("must keep a key, so that one can always leave")
    if command.priority and (typed := [key for key in keys if is_typed(key)]):
        raise ValueError(f"{key_shown(typed[0])} is needed in text fields, where this works too; take ctrl, alt or f1")
    return keys


def _merged(own: Keys, preset: str) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the keys of all commands and where they come from."""
    keys: dict[str, tuple[str, ...]] = {}
    origins: dict[str, str] = {}
    chosen = PRESETS.get(preset, {})
    for command in COMMANDS:
        if command.id in own:
            keys[command.id], origins[command.id] = own[command.id], "file"
        elif command.id in chosen:
            keys[command.id], origins[command.id] = chosen[command.id], f"preset {preset}"
        else:
            keys[command.id], origins[command.id] = command.keys, "default"
    return keys, origins


def _clashes(keys: Keys, origins: Mapping[str, str], document: Document) -> Iterator[str]:
    for view, key, one, other in clashes(keys):
        first = origins[one.id] == "file" and origins[other.id] != "file"
        guilty, innocent = (one, other) if first else (other, one)
        where = ("keys", *guilty.id.split(".")) if origins[guilty.id] == "file" else ("preset",)
        what = f"{key_shown(key)} also means {innocent.id} ({innocent.label}) in {view}"
        yield str(document.error(where, what, f"give {innocent.id} another key, or []"))
