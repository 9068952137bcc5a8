"""Examine the keys of a bus: their types, who reads the lanes, ids of the future, what is kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from observatory.bus.care.readings import Unread, read, unread
from observatory.bus.keys import day_of, shifted
from observatory.bus.reads.log import DAYS_KEPT
from observatory.model.health import Finding, Severity, judge_kept
from observatory.model.retention import Retention
from observatory.model.task import SHARED, Lane, Priority, is_queue_name
from observatory.model.text import line
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link, Reply

KEYS_LIMIT: Final = 100_000
"""Keys under the prefix whose type is looked at."""

NAMED_LIMIT: Final = 20
"""Keys of a wrong type that are named one by one."""

_PAGE: Final = 1000

_TYPES: Final = (
    (r"tasks:(dlq|trash)|heartbeats|audit|events:.+|messages:.+|reply:.+|journal:[^:]+(:aside)?", "stream"),
    (r"tasks:(delayed|turns)|agents:seen|order:.+|sleepers:.+|jobs", "zset"),
    (
        r"tasks:(delayed:bodies|paused|closed|kept|parked)|retention|agents|sides|cursors|durable|(dedupe|density|keyframes|task):.+",
        "hash",
    ),
    (r"journal:[^:]+:(state|echoes)|job:.+|gateway:keys|history(:recorder)?|bookmarks|notes", "hash"),
    (r"tasks:queues|tasks:cancelled", "set"),
)
"""Key names behind the prefix, and the type that each must have; lanes are streams besides."""

_WELL_KNOWN: Final = ("tasks:dlq", "tasks:delayed", "tasks:delayed:bodies", "tasks:queues", "heartbeats", "agents")

_PLAIN: Final = re.compile(r"[\w:.@{}-]+", re.ASCII)

_AHEAD_MS: Final = 2000
"""Milliseconds by which an id may lie in the future; TIME was cut to the second."""


async def examine_keys(link: Link, keys: Keys, *, every_key: bool = True) -> list[Finding]:
    """Examine the keys below the prefix of *keys*, or only those that every bus has."""
    names = await _names(link, keys) if every_key else await _usual(link, keys)
    found = []
    if isinstance(names, Unread):
        found.append(names.finding("keys"))
        names = await _usual(link, keys)
    elif len(names) >= KEYS_LIMIT:
        found.append(Finding("keys", Severity.UNKNOWN, f"only the first {KEYS_LIMIT:,} keys were looked at"))
    typed = await types_of(link, names)
    if isinstance(typed, Unread):
        return [*found, typed.finding("key types")]
    lanes = [name for name, kind in typed.items() if kind == "stream" and keys.lane_of(name) is not None]
    found += [*_wrong_types(keys, typed), *await _groups(link, keys, lanes), *await _ids(link, lanes)]
    return [*found, *await _kept(link, keys)]


def expected_type(keys: Keys, name: str) -> str | None:
    """Return the type that the key *name* must have; None if the bus does not know such a key."""
    if keys.lane_of(name) is not None:
        return "stream"
    if name == keys.meta:
        return "hash"
    rest = name.removeprefix(f"{keys.prefix}:")
    return next((kind for pattern, kind in _TYPES if re.fullmatch(pattern, rest, re.DOTALL)), None)


async def _kept(link: Link, keys: Keys) -> list[Finding]:
    """Hold the event log and the dead letters against the bounds of the bus."""
    said, now = await read(link, "+hgetall", "HGETALL", keys.retention), await read(link, "+time", "TIME")
    if isinstance(said, Unread) or isinstance(now, Unread):
        return [reply.finding("retention") for reply in (said, now) if isinstance(reply, Unread)]
    bounds = Retention.read({name.decode(): value.decode("utf-8", "replace") for name, value in pairs(said)})
    today = day_of(int(now[0]) * 1000)
    days = [keys.events(shifted(today, -back)) for back in range(DAYS_KEPT + 2)]
    found = []
    for what, names, limit, bound in (
        ("event log", days, bounds.events_bytes, "events_bytes"),
        ("dead letters", [keys.dead_letters], bounds.dead_bytes, "dead_bytes"),
    ):
        used = 0
        for name in names:
            size = await read(link, "+memory|usage", "MEMORY", "USAGE", name)
            if isinstance(size, Unread):
                return [size.finding("retention")]
            used += size or 0
        found.append(judge_kept(what, used, limit, bound))
    return found


async def _usual(link: Link, keys: Keys) -> list[str]:
    """Return the keys that every bus has, and its lanes as far as it tells of its queues."""
    reply = await read(link, "+smembers", "SMEMBERS", keys.queues)
    queues = [] if isinstance(reply, Unread) else sorted(name.decode("utf-8", "replace") for name in reply)
    lanes = [Lane(queue, priority) for queue in (SHARED, *filter(is_queue_name, queues)) for priority in Priority]
    return [*(f"{keys.prefix}:{rest}" for rest in _WELL_KNOWN), *map(keys.lane, lanes)]


async def _names(link: Link, keys: Keys) -> list[str] | Unread:
    cursor, names = b"0", dict[str, None]()
    while True:
        reply = await read(link, "+scan", "SCAN", cursor, "MATCH", f"{keys.prefix}:*", "COUNT", _PAGE)
        if isinstance(reply, Unread):
            return reply
        cursor, page = reply
        names.update((name.decode("utf-8", "surrogateescape"), None) for name in page)
        if cursor == b"0" or len(names) >= KEYS_LIMIT:
            return sorted(names)[:KEYS_LIMIT]


async def types_of(link: Link, names: Sequence[str]) -> dict[str, str] | Unread:
    """Return the type of each key, in as many round trips as there are thousands; `none` for one that is gone."""
    client = link.client()

    async def types(page: Sequence[str]) -> list[Reply]:
        async with client.pipeline(transaction=False) as pipe:
            for name in page:
                pipe.execute_command("TYPE", name.encode("utf-8", "surrogateescape"))
            return list(await pipe.execute(raise_on_error=False))

    found: dict[str, str] = {}
    try:
        for at in range(0, len(names), _PAGE):
            page = names[at : at + _PAGE]
            for name, reply in zip(page, await link.attempt(lambda page=page: types(page)), strict=True):  # type: ignore[misc]
                if isinstance(reply, Exception):
                    return unread(reply, "+type")
                found[name] = reply.decode()
    finally:
        await client.aclose()
    return found


def _wrong_types(keys: Keys, typed: Mapping[str, str]) -> Iterator[Finding]:
    wrong = [
        (name, kind, expected)
        for name, kind in typed.items()
        if kind != "none" and (expected := expected_type(keys, name)) not in {None, kind}
    ]
    for name, kind, expected in wrong[:NAMED_LIMIT]:
        aside = f"{keys.prefix}.aside:{name.removeprefix(f'{keys.prefix}:')}"
        yield Finding(
            "key types",
            Severity.CRIT,
            f"{_quoted(name)} is a {kind}, the bus needs a {expected} there",
            f"RENAME {_quoted(name)} {_quoted(aside)}, or UNLINK it if nobody needs it",
        )
    if len(wrong) > NAMED_LIMIT:
        yield Finding("key types", Severity.CRIT, f"{len(wrong) - NAMED_LIMIT:,} more keys are of a wrong type")
    if not wrong:
        yield Finding("key types", Severity.OK, f"keys looked at: {len(typed):,}")


async def _groups(link: Link, keys: Keys, lanes: Iterable[str]) -> list[Finding]:
    found = []
    for stream in lanes:
        reply = await read(link, "+xinfo|groups", "XINFO", "GROUPS", stream)
        if isinstance(reply, Unread):
            return [reply.finding("groups")]
        names = [line(dict(zip(row[::2], row[1::2], strict=True))[b"name"].decode("utf-8", "replace")) for row in reply]
        if len(names) > 1:
            found.append(
                Finding(
                    "groups",
                    Severity.WARN,
                    f"{keys.lane_of(stream)} is read by {len(names)} groups ({', '.join(names)}): each does every task "
                    "once, and only what lies below the low watermark of all is deleted",
                    f"XGROUP DESTROY {stream} <group> for one that nobody needs",
                )
            )
    return found or [Finding("groups", Severity.OK, "no lane is read by several groups")]


async def _ids(link: Link, lanes: Iterable[str]) -> list[Finding]:
    """Find lanes whose newest id lies in the future: the engine's clock once ran ahead, and ages there are wrong."""
    now = await read(link, "+time", "TIME")
    if isinstance(now, Unread):
        return []
    for stream in lanes:
        reply = await read(link, "+xinfo|stream", "XINFO", "STREAM", stream)
        if isinstance(reply, Unread):
            return [reply.finding("entry ids")]
        last = dict(zip(reply[::2], reply[1::2], strict=True))[b"last-generated-id"]
        ahead_ms = int(last.partition(b"-")[0]) - int(now[0]) * 1000
        if ahead_ms > _AHEAD_MS:
            return [
                Finding(
                    "entry ids",
                    Severity.WARN,
                    f"{stream} holds ids {ahead_ms / 1000:,.0f} s in the future: the engine's clock has jumped, "
                    "tasks there expire late by as much",
                    "let the lane drain, then UNLINK it",
                )
            ]
    return [Finding("entry ids", Severity.OK, "no lane holds ids of the future")]


def _quoted(name: str) -> str:
    """Write a key as redis-cli takes it."""
    if _PLAIN.fullmatch(name):
        return name
    raw = name.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in raw) + '"'
