"""How a running engine is: its memory and the state of its append-only file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.engine import directory as files
from observatory.engine import resp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TROUBLE = (
    ("aof_enabled", "0", "off"),
    ("aof_last_write_status", "err", "cannot be written"),
    ("aof_last_bgrewrite_status", "err", "the last rewrite failed"),
    ("aof_rewrite_in_progress", "1", "being rewritten"),
)
"""Fields of INFO, the value that tells, and what it tells; the first that holds is said."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a server tells of itself; None where it does not.

    Attributes:
        memory: Bytes in use.
        memory_limit: Bytes after which it refuses writes; 0 for no limit.
        aof: State of the append-only file: `ok`, `off`, or what is wrong or going on.
        aof_bytes: Its size.
    """

    memory: int | None
    memory_limit: int | None
    aof: str | None
    aof_bytes: int | None


def vitals(directory: Path, timeout_s: float = 1.0) -> Vitals | None:
    """Ask the engine of *directory* how it is; None if it does not answer or is still loading.

    Args:
        directory: Its data directory.
        timeout_s: Seconds that any single read may take.
    """
    directory = directory.absolute()
    state = files.State.load(directory)
    if state is None or state.address is None:
        return None
    try:
        return _read(resp.info(state.address, files.password(directory), timeout_s))
    except (OSError, resp.NotReadyError):
        return None


def _read(info: Mapping[str, str]) -> Vitals:
    said = (word for field, value, word in _TROUBLE if info.get(field) == value)
    return Vitals(
        memory=_integer(info.get("used_memory")),
        memory_limit=_integer(info.get("maxmemory")),
        aof=next(said, "ok") if "aof_enabled" in info else None,
        aof_bytes=_integer(info.get("aof_current_size")),
    )


def _integer(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None
