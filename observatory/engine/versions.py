"""Which engine may open data that another one wrote: a newer one may, an older one may not."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

from observatory.model.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

_SAYS = re.compile(r"(valkey|redis) server v=(\d[\w.]*)", re.IGNORECASE)
_NAMED = re.compile(r"(valkey|redis) (\d+)\.(\d+)(?:\.(\d+))?")

_LAST_COMMON: Final = (7, 2)
"""Last version of Redis whose files Valkey reads; later ones went their own way."""


def of_program(binary: Path, timeout_s: float) -> str:
    """Ask a server program for its version, for instance `valkey 9.1.2`; empty if it does not say.

    Args:
        binary: The program.
        timeout_s: Seconds in which it must answer.
    """
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    said = _SAYS.search(done.stdout)
    return f"{said[1].lower()} {said[2]}" if said else ""


def may_open(opens: str, wrote: str) -> bool:
    """Say whether the engine *opens* reads what the engine *wrote* left; True where one of them is unknown.

    Patch releases keep the format of their files, so only major and minor versions count.
    """
    by, of = _NAMED.match(opens), _NAMED.match(wrote)
    if by is None or of is None:
        return True
    mine, theirs = _major_minor(by), _major_minor(of)
    if by[1] == of[1]:
        return mine >= theirs
    return by[1] == "valkey" and theirs <= _LAST_COMMON


def newest(one: str, other: str) -> str:
    """Return whichever of two engines is needed to open what both have written; the first if that is unknown."""
    by, of = _NAMED.match(one), _NAMED.match(other)
    if by is None or of is None or by[1] != of[1]:
        return one or other
    return max((by, of), key=lambda match: (*_major_minor(match), int(match[4] or 0))).string


def refuse_older(directory: Path, binary: Path, wrote: str, timeout_s: float) -> None:
    """Refuse to open *directory* with a program that is older than the one that wrote it.

    Args:
        directory: The data directory.
        binary: The program that is to open it.
        wrote: The engine that wrote it; empty if unknown.
        timeout_s: Seconds in which the program must tell its version.

    Raises:
        EngineError: It is older, or of another make.
    """
    opens = of_program(binary, timeout_s) if wrote else ""
    if not may_open(opens, wrote):
        raise EngineError(
            f"the data in {directory} were written by {wrote}, and {opens} cannot be relied on to read them",
            "run that engine or a newer one (OBSERVATORY_ENGINE names the program), or name another --data-dir",
        )


def _major_minor(match: re.Match[str]) -> tuple[int, int]:
    return int(match[2]), int(match[3])
