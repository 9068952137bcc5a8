"""The bus's Lua scripts: found beside this file, composed from shared parts, addressed by digest.

A script is called by EVALSHA and sent whole only when the engine does not know it, so versions coexist and a
flushed script cache heals itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

_SHEBANG = "#!lua"
_USUAL = ("clock", "ids", "facts", "common")
_PARTS = {
    "look": ("clock", "ids", "replies", "look"),
    "window": ("clock", "replies", "shown", "window"),
    "pending": ("clock", "ids", "replies", "shown", "pending"),
    "groups": ("clock", "replies", "groups"),
    "find": ("clock", "find"),
    "take": ("clock", "ids", "facts", "common", "order", "start", "canonical", "take"),
    "begin": ("clock", "ids", "facts", "common", "order", "start", "canonical", "begin"),
    "adopt": ("clock", "ids", "facts", "common", "order", "start", "adopt"),
    "settle": ("clock", "ids", "facts", "common", "order", "settle"),
    "cancel": ("clock", "ids", "facts", "common", "order", "cancelling", "cancel"),
    "recover": ("clock", "ids", "facts", "common", "order", "recover"),
    "delayed": ("clock", "shown", "delayed"),
    "record": ("clock", "record"),
    "ticket": ("clock", "ticket"),
    "send": ("clock", "ids", "facts", "send"),
    "fetch": ("clock", "ids", "facts", "fetch"),
    "acknowledge": ("clock", "ids", "facts", "acknowledge"),
    "note": ("clock", "ids", "facts", "note"),
    "tail": ("clock", "tail"),
    "requeue": ("clock", "ids", "facts", "common", "moving", "requeue"),
    "shelve": ("clock", "ids", "facts", "common", "moving", "shelve"),
    "withdraw": ("clock", "ids", "facts", "common", "order", "moving", "withdraw"),
    "cancel_many": ("clock", "ids", "facts", "common", "order", "moving", "cancelling", "cancel_many"),
    "uncancel": ("clock", "ids", "facts", "common", "moving", "uncancel"),
    "claim": ("clock", "ids", "facts", "common", "moving", "claim"),
    "hand_back": ("clock", "ids", "facts", "common", "order", "moving", "hand_back"),
    "set_pauses": ("clock", "ids", "facts", "common", "moving", "set_pauses"),
    "set_group": ("clock", "ids", "facts", "common", "moving", "set_group"),
    "drop_consumers": ("clock", "ids", "facts", "common", "moving", "drop_consumers"),
    "set_bounds": ("clock", "ids", "facts", "common", "moving", "set_bounds"),
    "keep_answers": ("clock", "ids", "facts", "common", "moving", "keep_answers"),
    "letters": ("clock", "shown", "letters"),
    "states": ("clock", "states"),
    "behind": ("clock", "behind"),
    "job_open": ("clock", "job_open"),
    "job_hold": ("clock", "job_hold"),
    "job_note": ("clock", "job_note"),
    "job_wish": ("clock", "job_wish"),
    "jobs": ("clock", "jobs"),
    "job_done": ("clock", "job_done"),
    "lease": ("clock", "lease"),
    "census": ("clock", "census"),
    "census_delayed": ("clock", "census_delayed"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to send.

    Attributes:
        name: Its file's name without the ending.
        source: The whole text.
        sha: SHA-1 digest that EVALSHA takes.
        read_only: It writes nothing.
    """

    name: str
    source: bytes
    sha: bytes
    read_only: bool


@cache
def script(name: str, *, flags: bool = True) -> Script:
    """Load and compose the script *name*.

    Args:
        name: File name without `.lua`.
        flags: The engine understands the `#!lua flags=` line (Redis 7, Valkey); Redis 6 takes it for an error.
    """
    own = _read(name)
    first, _, rest = own.partition("\n")
    shebang, body = (first, rest) if first.startswith(_SHEBANG) else (_SHEBANG, own)
    parts = [body if part == name else _read(part) for part in _PARTS.get(name, (*_USUAL, name))]
    source = ("\n".join([shebang, *parts] if flags else parts)).encode()
    return Script(
        name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode(), "no-writes" in shebang
    )


def _read(name: str) -> str:
    return resources.files("observatory.bus").joinpath("lua", f"{name}.lua").read_text("utf-8")
