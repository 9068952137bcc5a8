"""The polling protocol of an older system: three requests, whose paths and names a file may change.

    GET  /messages/{agent}?since=ID&limit=N     → {"messages": [MESSAGE…], "last": ID}
    POST /messages                MESSAGE       → {"id": ID}
    POST /messages/{agent}/ack    {"id": ID}    → {"acknowledged": N}

A MESSAGE is {"id", "from", "to", "type", "data", "timestamp"}; data is text or any JSON. A poll returns, oldest first,
what was not acknowledged and lies behind *since*; an acknowledgement covers its id and everything before it. Ids are
numbers or text that clients only pass back.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Self

from observatory.model.errors import SettingsError, UsageError
from observatory.model.task import EntryId
from observatory.model.text import line
from observatory.model.wire import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus.payloads.payload import Payload
    from observatory.model.message import Message

JSON: Final = "application/json"

OURS: Final = 1 << 50
"""Ids from here on are those of the bus: milliseconds by 4096, plus the sequence. JavaScript holds them until 2039."""

_PER_MS: Final = 4096
_AGENT: Final = "{agent}"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the requests go; without `{agent}` in it, a request names its agent as `agent`."""

    poll: str = "/messages/{agent}"
    send: str = "/messages"
    ack: str = "/messages/{agent}/ack"


@dataclass(frozen=True, slots=True)
class Names:
    """What things are called in queries and bodies."""

    id: str = "id"
    sender: str = "from"
    to: str = "to"
    type: str = "type"
    data: str = "data"
    timestamp: str = "timestamp"
    messages: str = "messages"
    last: str = "last"
    since: str = "since"
    limit: str = "limit"
    agent: str = "agent"
    acknowledged: str = "acknowledged"


@dataclass(frozen=True, slots=True)
class Said:
    """A message as an old agent or an old server says it.

    Attributes:
        id: Its id there; empty if it has none yet.
        sender: Who sends it.
        to: Whom it is for.
        type: What kind it is.
        data: What it says: text, or anything that JSON holds.
    """

    id: str
    sender: str
    to: str
    type: str
    data: Payload


@dataclass(frozen=True, slots=True)
class Protocol:
    """How an older system speaks.

    Attributes:
        paths: Where its requests go.
        names: What it calls things.
    """

    paths: Paths = field(default_factory=Paths)
    names: Names = field(default_factory=Names)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file of the tables `[paths]` and `[names]`; what it does not say is as usual.

        Raises:
            SettingsError: It cannot be read, or says something that is not known.
        """
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: this is not TOML: {line(str(error))}") from None
        for table in said.keys() - {"paths", "names"}:
            raise SettingsError(f"{path}: {line(table)}: there is no such table", "known are paths, names")
        paths = Paths(**_table(path, said, "paths", {one.name for one in fields(Paths)}))
        for value in (paths.poll, paths.send, paths.ack):
            if not re.fullmatch(r"/[!-~]*", value) or value.count(_AGENT) > 1:
                raise SettingsError(f"{path}: paths: {line(value)!r} is no path", "for example /messages/{agent}")
        return cls(paths, Names(**_table(path, said, "names", {one.name for one in fields(Names)})))

    def understood(self, body: object, *, must_have_id: bool = False) -> Said:
        """Read a message.

        Raises:
            UsageError: It is none; names the field.
        """
        if not isinstance(body, dict):
            raise UsageError("body: must be a JSON object")
        names = self.names
        words = {}
        for name in (names.id, names.sender, names.to, names.type):
            value = body.get(name, "")
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise UsageError(f"{name}: must be text")
            words[name] = str(value)
        if must_have_id and not words[names.id]:
            raise UsageError(f"{names.id}: is missing")
        if not words[names.to] and not must_have_id:
            raise UsageError(f"{names.to}: is missing")
        return Said(words[names.id], words[names.sender], words[names.to], words[names.type], body.get(names.data, ""))

    def written(self, message: Message) -> dict[str, Any]:
        """Return a message of the bus as this protocol has it."""
        names = self.names
        return {
            names.id: number_of(message.entry_id),
            names.sender: line(message.sender),
            names.to: message.to,
            names.type: line(message.type),
            names.data: _data(message),
            names.timestamp: rfc3339(message.created_ms),
        }


def number_of(entry_id: str) -> int:
    """Return the id of an entry as a number that grows with it."""
    found = EntryId.parse(entry_id)
    return found.ms * _PER_MS + found.seq


def ours(text: str) -> int | None:
    """Return the number that *text* is, if it is an id that we gave out; None if the old server did, or nobody."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) >= OURS else None


def _data(message: Message) -> Any:  # noqa: ANN401 - whatever JSON holds
    if message.content_type.partition(";")[0].strip().lower() == JSON:
        try:
            return json.loads(message.payload)
        except (ValueError, RecursionError):
            pass
    try:
        return message.payload.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(message.payload).decode()}


def _table(path: Path, said: dict[str, Any], name: str, known: set[str]) -> dict[str, str]:
    table = said.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {name}: must be a table")
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"{path}: {name}.{line(key)}: there is no such name", f"known are {', '.join(known)}")
        if not isinstance(value, str) or not value or not value.isprintable():
            raise SettingsError(f"{path}: {name}.{key}: must be text")
    return table
