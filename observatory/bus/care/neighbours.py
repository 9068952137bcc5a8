"""Who else lives in a Redis: whether anybody's keys stand where the bus puts its own, and what is foreign beside them.

Everything here only reads, in bounded pages: SCAN over what the server holds, TYPE of what stands under the prefix.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from observatory.bus.care.key_checks import expected_type, types_of
from observatory.bus.care.readings import Unread, read
from observatory.bus.links.link import info_of
from observatory.model.health import Finding, Severity
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from observatory.bus.links.link import Link
    from observatory.bus.partitions import Partition, Partitions

KEYS_LIMIT: Final = 1_000_000
"""Keys that are looked at in each server at most."""

NAMED: Final = 20
"""Keys that are named one by one, and groups of foreign keys that are counted by name."""

_PAGE: Final = 1000
_FIRST = re.compile(r"[^:/|.]*[:/|.]?")


@dataclass(slots=True)
class Neighbours:
    """What was found in the servers of a bus.

    Attributes:
        databases: Keys in each database that holds some, by number; None where that cannot be read.
        looked_at: Keys whose names were read.
        is_whole: Those were all.
        ours: Keys under the prefix that the bus knows.
        strangers: Keys under the prefix that the bus does not know, and their types; the first ones.
        strange: How many there are of those.
        wrong: Keys of the bus that hold something else: name, type, and the type that it needs; the first ones.
        wrongs: How many there are of those.
        others: Foreign keys beside the prefix, counted by how their names begin.
        unread: What the user in the URL may not read.
    """

    databases: dict[int, int] | None = None
    looked_at: int = 0
    is_whole: bool = True
    ours: int = 0
    strangers: list[tuple[str, str]] = field(default_factory=list)
    strange: int = 0
    wrong: list[tuple[str, str, str]] = field(default_factory=list)
    wrongs: int = 0
    others: Counter[str] = field(default_factory=Counter)
    unread: list[Finding] = field(default_factory=list)

    @property
    def collides(self) -> bool:
        """Somebody else's keys stand where the bus puts its own."""
        return bool(self.strange or self.wrongs)


async def neighbours_of(partitions: Partitions, *, most: int = KEYS_LIMIT) -> Neighbours:
    """Look at who lives in the servers of a bus, each once.

    Args:
        partitions: The parts of the bus.
        most: Keys that are looked at in each server at most.

    Raises:
        BusUnreachableError: A server does not answer.
    """
    found = Neighbours()
    links: dict[Hashable, Link] = {}
    for partition in partitions:
        links.setdefault(partition.link.place, partition.link)
    for link in links.values():
        await _look(found, partitions, link, most)
    keyspace = await read(partitions.seat.link, "+info", "INFO", "keyspace")
    if isinstance(keyspace, Unread):
        found.unread.append(keyspace.finding("databases"))
    else:
        found.databases = dict(_databases(info_of(keyspace).items()))
    return found


async def _look(found: Neighbours, partitions: Partitions, link: Link, most: int) -> None:
    cursor, looked_at = b"0", 0
    while True:
        reply = await read(link, "+scan", "SCAN", cursor, "COUNT", _PAGE)
        if isinstance(reply, Unread):
            found.unread.append(reply.finding("keys"))
            found.is_whole = False
            return
        cursor, page = reply
        looked_at += len(page)
        await _sort_out(found, partitions, link, [name.decode("utf-8", "surrogateescape") for name in page])
        if cursor == b"0" or looked_at >= most:
            break
    found.looked_at += looked_at
    found.is_whole = found.is_whole and cursor == b"0"


async def _sort_out(found: Neighbours, partitions: Partitions, link: Link, names: list[str]) -> None:
    under = [(name, home) for name in names if (home := _home_of(partitions, name)) is not None]
    found.others.update(_beginning(name) for name in names if _home_of(partitions, name) is None)
    typed = await types_of(link, [name for name, _ in under]) if under else {}
    if isinstance(typed, Unread):
        found.unread.append(typed.finding("key types"))
        return
    for name, home in under:
        kind, expected = typed[name], expected_type(home.keys, name)
        if kind == "none":
            continue
        if expected is None:
            found.strange += 1
            found.strangers += [(name, kind)] if found.strange <= NAMED else []
        elif expected != kind:
            found.wrongs += 1
            found.wrong += [(name, kind, expected)] if found.wrongs <= NAMED else []
        else:
            found.ours += 1


def _home_of(partitions: Partitions, name: str) -> Partition | None:
    """Return the partition under whose prefix *name* stands; None if it stands under none."""
    if name == partitions.seat.keys.meta:
        return partitions.seat
    return next((one for one in partitions if name.startswith(f"{one.keys.prefix}:")), None)


def _beginning(name: str) -> str:
    first = _FIRST.match(name)
    return line(first[0] if first is not None and first[0] != name else "", 40) + "*"


def _databases(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[int, int]]:
    for name, said in rows:
        keys = re.search(r"keys=(\d+)", said)
        if name.startswith("db") and name[2:].isdigit() and keys is not None:
            yield int(name[2:]), int(keys[1])


def judged(found: Neighbours, prefix: str) -> list[Finding]:
    """Return what was found as an operator should read it."""
    findings = [
        Finding(
            "prefix",
            Severity.CRIT,
            f"{line(name, 80)!r} is a {kind} of somebody else under the prefix of the bus",
            "choose another --prefix, or rename it",
        )
        for name, kind in found.strangers
    ]
    findings += [
        Finding(
            "key types",
            Severity.CRIT,
            f"{line(name, 80)!r} is a {kind}, the bus needs a {expected} there",
            "choose another --prefix, or rename it",
        )
        for name, kind, expected in found.wrong
    ]
    left = found.strange - len(found.strangers) + found.wrongs - len(found.wrong)
    if left:
        findings.append(Finding("prefix", Severity.CRIT, f"{left:,} more keys under {prefix} are not the bus's", ""))
    if not found.collides and not found.unread:
        said = f"{found.ours:,} keys stand under {prefix}, all of them the bus's" if found.ours else f"{prefix} is free"
        findings.append(Finding("prefix", Severity.OK, said, ""))
    if found.others:
        shown = ", ".join(f"{name} {count:,}" for name, count in found.others.most_common(NAMED))
        fix = "whoever runs FLUSHDB there deletes the bus as well: take a database of its own, redis://host/<number>"
        findings.append(Finding("others", Severity.WARN, f"{found.others.total():,} keys of others: {shown}", fix))
    elif not found.unread:
        findings.append(Finding("others", Severity.OK, "nobody else has keys here", ""))
    if found.databases is not None:
        shown = ", ".join(f"db{number} {count:,}" for number, count in sorted(found.databases.items()))
        findings.append(Finding("databases", Severity.OK, f"keys by database: {shown or 'none'}", ""))
    if not found.is_whole:
        said = f"only the first {found.looked_at:,} keys were looked at"
        findings.append(Finding("keys", Severity.UNKNOWN, said, ""))
    return [*findings, *found.unread]
