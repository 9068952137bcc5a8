"""TOML files as people write them: read whole, with the line of every key at hand for a good error."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from observatory.model.errors import SettingsError
from observatory.model.text import line as printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_AT = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$", re.DOTALL)
_HEADER = re.compile(r"^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*(?P<key>(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file that could be parsed.

    Attributes:
        path: Where it came from.
        text: What it says, as written.
        data: What it means.
    """

    path: Path
    text: str
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read *path*.

        Raises:
            FileNotFoundError: There is no such file.
            SettingsError: It cannot be read, is not UTF-8, or is not TOML; names the line if one is known.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            number = error.object.count(b"\n", 0, error.start) + 1
            raise SettingsError(f"{path}: line {number}: this is not UTF-8 text") from None
        return cls.parse(path, text)

    @classmethod
    def parse(cls, path: Path, text: str) -> Document:
        """Parse *text* as the content of *path*.

        Raises:
            SettingsError: It is not TOML.
        """
        try:
            return cls(path, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            found = _AT.match(str(error))
            what = printable(found["what"] if found else str(error))
            number = (found["line"] if found else None) or text.count("\n") + 1
            raise SettingsError(
                f"{path}: line {number}: this is not TOML: {what}", 'text stands in quotes: key = "value"'
            ) from None

    def line_of(self, *keys: str) -> int | None:
        """Return the line, from 1, on which the key at this path of tables is set; None if it is not found."""
        table: tuple[str, ...] = ()
        for number, row in enumerate(self.text.splitlines(), start=1):
            if header := _HEADER.match(row):
                table = _split(header["name"])
                if table == keys:
                    return number
            elif (found := _KEY.match(row)) and (*table, *_split(found["key"])) == keys:
                return number
        return None

    def error(self, keys: tuple[str, ...], what: str, hint: str = "") -> SettingsError:
        """Return an error that names this file, the key at this path of tables, and its line if found."""
        number = self.line_of(*keys)
        where = f": line {number}" if number else ""
        return SettingsError(f"{self.path}: {printable('.'.join(keys))}{where}: {what}", hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known key nearest to *name*, or all of them if none is near."""
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
