"""Root causes of dead letters: which of ten thousand failures are the same one.

Two letters have the same cause if they agree in the parts of a key: by default the class of the error, its message
without what differs from case to case, and the type of the task. A cause keeps its id from run to run.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from observatory.model.agent import agent_of
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observatory.model.dead_letter import DeadLetter

READ: Final = 400
"""Characters of an error that are looked at."""

MOST_LETTERS: Final = 200_000
"""Letters that are counted; those beyond are only counted as left out."""

MOST_CAUSES: Final = 2_000
"""Causes that are told apart; letters of further ones are left out."""

NAMED: Final = 20
"""Agents and types that a cause names, most frequent first."""

TREND: Final = 24
"""Buckets of a trend."""


class KeyPart(StrEnum):
    """What letters of one cause have in common."""

    CLASS = "class"
    """Class of the error; the reason where there is no error."""
    MESSAGE = "message"
    """Message of the error without what differs from case to case."""
    TYPE = "type"
    """Kind of work."""
    REASON = "reason"
    """Why it died: error, poison, stale …"""
    LANE = "lane"
    """Stream key of the lane it came from."""
    AGENT = "agent"
    """Agent that gave it up."""


DEFAULT_KEY: Final = (KeyPart.CLASS, KeyPart.MESSAGE, KeyPart.TYPE)
"""The usual key."""

KEYS: Final = (
    DEFAULT_KEY,
    (KeyPart.CLASS, KeyPart.MESSAGE),
    (KeyPart.CLASS,),
    (KeyPart.TYPE,),
    (KeyPart.REASON,),
    (KeyPart.LANE,),
    (KeyPart.AGENT,),
)
"""Keys that are worth a look, one after the other."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters that died of the same thing.

    Attributes:
        id: Eight letters and digits that stay the same from run to run, for notes.
        key: What the letters have in common, by part, in the order of the key.
        count: How many there are.
        first_ms: When the first of them died, ms of server time.
        last_ms: When the last of them died, ms of server time.
        trend: How many died in each stretch of `CauseTable.span_ms`, oldest first.
        agents: Agents that gave them up, with counts, most frequent first, at most `NAMED`.
        agents_hit: How many different agents gave them up.
        types: Types of the tasks, with counts, most frequent first, at most `NAMED`.
        requeued: How many had been requeued before.
        requeues: How often they had been requeued before, over all.
        sample: Entry id of the newest one.
        error: Error of the newest one, as it was written.
    """

    id: str
    key: tuple[tuple[KeyPart, str], ...]
    count: int
    first_ms: int
    last_ms: int
    trend: tuple[int, ...]
    agents: tuple[tuple[str, int], ...]
    agents_hit: int
    types: tuple[tuple[str, int], ...]
    requeued: int
    requeues: int
    sample: str
    error: str

    def part(self, part: KeyPart) -> str:
        """Return what the letters have in common in *part*; empty if it is not in the key."""
        return dict(self.key).get(part, "")

    @property
    def title(self) -> str:
        """The cause in one printable line: class and message, or what else the letters have in common."""
        said = [self.part(KeyPart.CLASS), self.part(KeyPart.MESSAGE)]
        return line(": ".join(filter(None, said if any(said) else (value for _, value in self.key))) or "?")


@dataclass(frozen=True, slots=True)
class CauseNote:
    """What somebody noted about a cause.

    Attributes:
        text: The note.
        by: Who wrote it.
        at_ms: When, ms of server time.
    """

    text: str
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CauseTable:
    """All causes, at one time.

    Attributes:
        causes: Most frequent first, the newer first among equals.
        counted: Letters that they speak of.
        left_out: Letters that were too many to be told apart.
        span_ms: Time that the trends cover, from and up to, in ms of server time.
    """

    causes: tuple[Cause, ...]
    counted: int
    left_out: int
    span_ms: tuple[int, int]


@dataclass(slots=True)
class _Heap:
    """What is known of one cause so far."""

    minutes: Counter[int] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    count: int = 0
    requeued: int = 0
    requeues: int = 0
    first_ms: int = 0
    last_ms: int = 0
    sample: str = ""
    error: str = ""


class Causes:
    """Sorts dead letters by cause, page by page, in any order; a letter that comes twice counts once.

    Args:
        key: What letters of one cause have in common; at least one part.
    """

    def __init__(self, key: tuple[KeyPart, ...] = DEFAULT_KEY) -> None:
        self.key = key
        self._heaps: dict[tuple[str, ...], _Heap] = {}
        self._seen: set[str] = set()
        self._left_out = 0

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Count *letters*, as far as they were not counted before."""
        for letter in letters:
            if letter.entry_id in self._seen:
                continue
            values = key_of(letter, self.key)
            heap = self._heaps.get(values)
            if len(self._seen) >= MOST_LETTERS or (heap is None and len(self._heaps) >= MOST_CAUSES):
                self._left_out += 1
                continue
            self._seen.add(letter.entry_id)
            if heap is None:
                heap = self._heaps[values] = _Heap()
            _count(heap, letter)

    def table(self) -> CauseTable:
        """Return what is known now."""
        heaps = self._heaps.values()
        start = min((heap.first_ms for heap in heaps), default=0)
        end = max((heap.last_ms for heap in heaps), default=0) + 1
        found = [self._cause(values, heap, start, end) for values, heap in self._heaps.items()]
        found.sort(key=lambda cause: (-cause.count, -cause.last_ms, cause.id))
        return CauseTable(tuple(found), len(self._seen), self._left_out, (start, end))

    def _cause(self, values: tuple[str, ...], heap: _Heap, start: int, end: int) -> Cause:
        return Cause(
            id=cause_id(self.key, values),
            key=tuple(zip(self.key, values, strict=True)),
            count=heap.count,
            first_ms=heap.first_ms,
            last_ms=heap.last_ms,
            trend=_trend(heap.minutes, start, end),
            agents=_most(heap.agents),
            agents_hit=len(heap.agents),
            types=_most(heap.types),
            requeued=heap.requeued,
            requeues=heap.requeues,
            sample=heap.sample,
            error=heap.error,
        )


def key_of(letter: DeadLetter, key: tuple[KeyPart, ...] = DEFAULT_KEY) -> tuple[str, ...]:
    """Return what decides which cause *letter* belongs to, one text for each part of *key*."""
    name, message = error_parts(letter.error)
    parts = {
        KeyPart.CLASS: name or ("" if message else letter.reason),
        KeyPart.MESSAGE: message,
        KeyPart.TYPE: letter.type,
        KeyPart.REASON: letter.reason,
        KeyPart.LANE: letter.source,
        KeyPart.AGENT: agent_of(letter.worker),
    }
    return tuple(parts[part] for part in key)


def read_key(text: str) -> tuple[KeyPart, ...]:
    """Read a key as people write it: `cause` for the usual one, or parts between commas.

    Raises:
        ValueError: A part of it is none.
    """
    if text.strip() in {"", "cause"}:
        return DEFAULT_KEY
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in set(KeyPart):
            raise ValueError(f"{line(part, 24)!r} is no part of a cause: cause, or any of {', '.join(KeyPart)}")
    return tuple(dict.fromkeys(map(KeyPart, parts)))


def cause_id(key: tuple[KeyPart, ...], values: tuple[str, ...]) -> str:
    """Return the short id of the cause with these *values*: the same wherever and whenever it is asked for."""
    text = "\x1f".join(f"{part}\x1e{value}" for part, value in zip(key, values, strict=True))
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=5).digest()
    # 40 bits in letters that nobody takes for each other: no i, l, o, u.
    number = int.from_bytes(digest, "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(35, -1, -5))


@lru_cache(maxsize=4096)
def error_parts(error: str) -> tuple[str, str]:
    """Return the class of an error and its message without what differs from case to case.

    Args:
        error: As an agent wrote it: `TimeoutError: no answer from 10.0.0.7 after 30 s`, or a whole traceback.

    Returns:
        `TimeoutError` and `no answer from <ip> after #`; an empty class where none is named.
    """
    rows = [row for row in error[: 64 * READ].splitlines() if row.strip()]
    if not rows:
        return "", ""
    text = rows[-1] if rows[0].startswith("Traceback ") else rows[0]
    found = _CLASS.match(text)
    if found is None:
        return "", normalise(text)
    return found[1].rpartition(".")[2], normalise(text[found.end() :])


def normalise(message: str) -> str:
    """Return *message* with everything replaced that differs from case to case.

    Numbers, ids, UUIDs and hexadecimals become `#`, and `<url>`, `<path>`, `<ip>`, `<time>`, `<mail>` and `<text>`
    (what stood in quotes) say what they stand for. Codes that name a kind of failure stay: `Errno 111`, `HTTP 502`,
    `exit status 1`. At most `READ` characters are looked at.
    """
    text = _VARIABLE.sub(_placeholder, message[:READ])
    return " ".join(_LIST.sub("#", text).split())


def _count(heap: _Heap, letter: DeadLetter) -> None:
    died = letter.died_ms
    newest = heap.count == 0 or died >= heap.last_ms
    heap.first_ms = died if heap.count == 0 else min(heap.first_ms, died)
    heap.last_ms = died if heap.count == 0 else max(heap.last_ms, died)
    heap.count += 1
    heap.minutes[died // _MINUTE] += 1
    heap.requeued += letter.requeues > 0
    heap.requeues += letter.requeues
    if letter.worker:
        heap.agents[agent_of(letter.worker)] += 1
    heap.types[letter.type] += 1
    if newest:
        heap.sample, heap.error = letter.entry_id, letter.error


def _most(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:NAMED])


def _trend(minutes: Counter[int], start: int, end: int) -> tuple[int, ...]:
    buckets = [0] * TREND
    for minute, count in minutes.items():
        # A minute that began before the span counts to its first bucket.
        at = (max(minute * _MINUTE, start) - start) * TREND // (end - start)
        buckets[at] += count
    return tuple(buckets)


def _placeholder(found: re.Match[str]) -> str:
    kind = found.lastgroup or ""
    if kind == "word":
        return _word(found[0])
    if kind == "code":
        return found[0]
    return _PLACEHOLDERS[kind]


def _word(word: str) -> str:
    """Fold a word from its first part with a digit on: `task-001` is `task-#`; words that only look so are kept."""
    parts = _PARTS.split(word)
    for at, part in enumerate(parts):
        if part.lower() in _NAMES:
            continue
        if any(char.isdigit() for char in part) or (_HEX.fullmatch(part) and part.lower() not in _ENGLISH):
            return "".join((*parts[:at], "#"))
    return word


_MINUTE = 60_000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

_CLASS = re.compile(
    r"\s*((?:[A-Za-z_]\w{0,79}\.){0,8}[A-Z]\w{2,79}|(?:[A-Za-z_]\w{0,79}\.){1,8}[a-z]\w{0,70}(?:error|timeout|exception))"
    r"\s*(?::\s|:?\s*$)"
)
_PARTS = re.compile(r"([-_])")
_HEX = re.compile(r"[0-9a-fA-F]{6,}")
_LIST = re.compile(r"#(?:[,;:]? ?#)+")

_NAMES = frozenset(
    {"utf8", "utf16", "utf32", "sha1", "sha256", "sha512", "md5", "http2", "http3", "ipv4", "ipv6", "base64"}
    | {"base32", "x509", "s3", "ec2", "k8s", "h2", "i18n", "oauth2"}
)
"""Words with a digit in them that name a thing and not a case."""

_ENGLISH = frozenset(["facade", "decade", "accede", "efface", "deface", "beaded", "faced", "added", "deeded"])
"""Words that could be hexadecimal."""

_PLACEHOLDERS = {
    "url": "<url>", "mail": "<mail>", "time": "<time>", "ip": "<ip>", "path": "<path>", "text": "<text>",
    "number": "#", "uuid": "#",
}  # fmt: skip

_VARIABLE = re.compile(
    r"""
      (?P<code>\b(?i:errno|http|status|code|exit)(?:\ (?i:code|status))?[ :=]{1,2}\d{1,3}\b)
    | (?P<url>\b[a-z][a-z0-9+.-]{1,20}://[^\s'"<>)\]]+)
    | (?P<uuid>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)
    | (?P<time>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\s?Z|[+-]\d\d:?\d\d)?)?\b
              |\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b)
    | (?P<mail>\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)
    | (?P<ip>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b
            |(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:]))
    | (?P<path>(?<![\w.<])(?:~|\.{1,2})?/[^\s:,;'"()\[\]<>]+
              |\b[A-Za-z]:\\[^\s:,;'"()\[\]<>]+
              |\b[\w.-]{1,80}(?:/[\w.-]{1,80})+\.\w{1,5}\b)
    | (?P<text>(?<!\w)(?:'[^'\n]{0,200}'|"[^"\n]{0,200}"|`[^`\n]{0,200}`)(?!\w))
    | (?P<number>(?<![\w.])[-+]?\d+(?:[.,_]\d+)*(?:\s?(?:%|[munµ]?s|min|h|[kKMGT]i?[bB]?|bytes))?(?!\w))
    | (?P<word>\w+(?:[-_]\w+)*)
    """,
    re.VERBOSE,
)
