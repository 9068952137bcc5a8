"""The server's configuration, as a file: never on a command line, where everyone could read the password."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from observatory.engine import directory as files
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from observatory.engine.resp import Address

_SHARE_OF_MEMORY = 0.6

_SIZE = re.compile(r"([0-9]{1,15})\s*([kmgt]?)(i?b)?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}

_SETTINGS = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "daemonize": "no",
    "dir": "./",
    "logfile": files.LOG,
    "loglevel": "notice",
    "always-show-logo": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-use-rdb-preamble": "yes",
    "aof-load-truncated": "yes",
    "save": '""',
    "maxmemory-policy": "noeviction",
}
"""What every engine gets. The server is started inside its directory, so that no path needs quoting."""


def render(address: Address, password: str, maxmemory: int) -> str:
    """Return the text of the configuration file.

    Args:
        address: Where the server is to listen.
        password: What clients must present.
        maxmemory: Bytes of data after which writes are refused.
    """
    rows = {**_SETTINGS, "maxmemory": str(maxmemory), "requirepass": password, "port": str(address.port)}
    if not address.port:
        rows |= {"unixsocket": files.SOCKET, "unixsocketperm": "700"}
    return "".join(f"{key} {value}\n" for key, value in rows.items())


def default_maxmemory() -> int:
    """Return 60 % of this machine's memory, or of the container's limit if that is less, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # No container, or one without a limit ("max").
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return int(total * _SHARE_OF_MEMORY)


def size(text: str) -> int:
    """Read an amount of memory, such as `512mb` or `2g`, in powers of 1,024; a bare number is bytes.

    Raises:
        UsageError: It is none, or zero, which would mean no limit at all.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise UsageError(f"maxmemory: {line(text, 64)!r} is no amount of memory", "for example 512mb or 2gb")
    return int(match[1]) << _UNITS[match[2].lower()]
