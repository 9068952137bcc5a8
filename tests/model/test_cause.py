"""Root causes: ten thousand dead letters are a handful of failures, the same ones tomorrow."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.model.cause import DEFAULT_KEY, TREND, Causes, KeyPart, cause_id, error_parts, normalise
from observatory.model.dead_letter import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1_770_000_000_000
LETTER = DeadLetter(
    "1-0", "t-1", "deploy", "error", "", 3, "cortex:tasks:high", "9-0", "pink@h:1:ab", START, None, 0, b"", ()
)


def letter(number: int, error: str = "", **changes: object) -> DeadLetter:
    return replace(LETTER, entry_id=f"{number}-0", error=error, **{"died_ms": START + number, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        ("TimeoutError: no answer from 10.0.0.7:6379 after 30 s", "TimeoutError", "no answer from <ip> after #"),
        ("redis.exceptions.ConnectionError: Error 111", "ConnectionError", "Error #"),
        ("asyncio.exceptions.timeouterror: x", "timeouterror", "x"),
        ("OSError: [Errno 28] No space left on /dev/sda1", "OSError", "[Errno 28] No space left on <path>"),
        ("HTTP 502 from https://a.b/c?d=1 (delivery 8f3a)", "", "HTTP 502 from <url> (delivery #)"),
        ("exit status 137 of task-001", "", "exit status 137 of task-#"),
        ("task 3fa9c1de died at 2026-02-06T11:45:00.123Z", "", "task # died at <time>"),
        ("KeyError: 'user_17'", "KeyError", "<text>"),
        ("can't open it, don't ask", "", "can't open it, don't ask"),
        ("cannot read src/app/main.py:12 and C:\\temp\\x", "", "cannot read <path>:# and <path>"),
        ("bob@example.com has 3.5 MiB, 80%, -7, 12ms", "", "<mail> has #"),
        ("values [1, 2, 3] from fe80::1", "", "values [#] from <ip>"),
        ("utf8 cannot hold it, sha256 differs", "", "utf8 cannot hold it, sha256 differs"),
        ("a decade in a facade", "", "a decade in a facade"),
        ("commit cafebabe or 00000000 is gone", "", "commit # or # is gone"),
        ("HTTPError", "HTTPError", ""),
        ("Deploy failed", "", "Deploy failed"),
        ("  spaced \t out  ", "", "spaced out"),
        ("Traceback (most recent call last):\n  File 'x'\nValueError: bad 7\n", "ValueError", "bad #"),
        ("ValueError: bad\nsecond line", "ValueError", "bad"),
        ("", "", ""),
        ("\n \n", "", ""),
    ],
)
def test_what_an_error_says_without_its_case(error: str, name: str, message: str) -> None:
    """Class and message are told apart, and what differs from case to case is folded away."""
    assert error_parts(error) == (name, message)


CASES: dict[str, Callable[[random.Random], str]] = {
    "number": lambda dice: str(dice.randrange(10**9)),
    "hex": lambda dice: f"{dice.getrandbits(48):012x}",
    "short hex": lambda dice: f"{dice.getrandbits(32):08x}",
    "uuid": lambda dice: str(uuid.UUID(int=dice.getrandbits(128), version=4)),
    "task": lambda dice: f"task-{dice.randrange(1000):03}",
    "path": lambda dice: f"/var/{dice.choice('abc')}/run-{dice.randrange(99)}.log",
    "url": lambda dice: f"https://{dice.choice('abc')}.example.com:{dice.randrange(9999)}/x?y={dice.random()}",
    "ip": lambda dice: f"10.{dice.randrange(256)}.0.{dice.randrange(256)}",
    "address": lambda dice: f"0x{dice.getrandbits(40):010x}",
    "time": lambda dice: f"2026-02-{dice.randrange(10, 28)}T11:{dice.randrange(10, 60)}:00Z",
    "quoted": lambda dice: f"'{dice.choice(['x', 'a b', '1'])}'",
    "duration": lambda dice: f"{dice.random() * 100:.2f}s",
}
"""What differs from letter to letter, by what it is."""


@given(st.permutations(list(CASES)), st.integers(0, 2**32))
def test_only_the_case_differs(kinds: list[str], seed: int) -> None:
    """Two errors that differ only in ids, numbers, paths, addresses, times and quotes have the same message."""
    dice = random.Random(seed)
    one, other = (" then ".join(f"{kind.replace(' ', '')} {CASES[kind](dice)}" for kind in kinds) for _ in range(2))
    assert normalise(one) == normalise(other)


@given(st.text())
def test_any_text_can_be_normalised_and_only_once(text: str) -> None:
    """No foreign text breaks it, the result is bounded, and it is one line."""
    assert len(normalise(text)) <= 2400
    assert len(normalise(text).splitlines()) <= 1


def test_ten_thousand_letters_of_three_errors_are_three_causes() -> None:
    """With random ids, numbers, paths and addresses in every one of them."""
    dice = random.Random(7)
    templates = (
        ("deploy", "RegistryError: manifest unknown: api@sha256:{hex} ({uuid})"),
        ("notify", "TimeoutError: no answer from {ip} after {duration}, see {url}"),
        ("index", "worker crashed with {task} at {address} in {path}:{number}"),
    )
    letters = []
    for number in range(10_000):
        kind, template = dice.choice(templates)
        error = template.format(**{name: make(dice) for name, make in CASES.items() if " " not in name})
        letters.append(letter(number, error, type=kind))
    causes = Causes()
    for at in range(0, len(letters), 100):
        causes.add(letters[at : at + 100])
    table = causes.table()
    assert [cause.part(KeyPart.TYPE) for cause in table.causes] == sorted(
        ("deploy", "index", "notify"), key=lambda kind: -sum(item.type == kind for item in letters)
    )
    assert sum(cause.count for cause in table.causes) == table.counted == 10_000


def test_what_a_cause_tells() -> None:
    """First and last, trend, agents, types, requeues and the newest letter are those of its letters."""
    causes = Causes()
    hour = 3_600_000
    causes.add(
        [
            letter(0, "E7Error: 1", worker="pink@h:1:a", requeues=2),
            letter(hour, "E7Error: 2", worker="pink@h:2:b", requeues=1),
            letter(2 * hour, "E7Error: 3", worker="harold@h:1:a"),
            letter(hour + 1, "other", worker=""),
        ]
    )
    first, second = causes.table().causes
    assert (first.count, first.first_ms, first.last_ms) == (3, START, START + 2 * hour)
    assert (first.agents, first.agents_hit) == ((("pink", 2), ("harold", 1)), 2)
    assert (first.requeued, first.requeues) == (2, 3)
    assert (first.sample, first.error) == (f"{2 * hour}-0", "E7Error: 3")
    assert first.title == "E7Error: #"
    assert (len(first.trend), sum(first.trend)) == (TREND, 3)
    assert (first.trend[0], first.trend[TREND // 2 - 1] + first.trend[TREND // 2], first.trend[-1]) == (1, 1, 1)
    assert (second.agents, second.agents_hit) == ((), 0)
    assert sum(second.trend) == 1


def test_a_letter_that_comes_twice_counts_once() -> None:
    """Pages may overlap while letters arrive, and come in any order."""
    letters = [letter(number, f"Error{number % 3}: x", worker="a@b:1:c") for number in range(30)]
    forward, backward = Causes(), Causes()
    forward.add(letters)
    forward.add(letters[5:])
    backward.add(reversed(letters))
    assert forward.table() == backward.table()
    assert forward.table().counted == 30


def test_the_key_can_be_chosen() -> None:
    """By reason alone, or by agent, the same letters fall into other groups."""
    letters = [
        letter(1, "AError: x", reason="error", worker="pink@h:1:a"),
        letter(2, "BError: x", reason="error", worker="pink@h:1:a"),
        letter(3, "", reason="stale", worker="harold@h:1:a"),
    ]
    found = {}
    for key in (DEFAULT_KEY, (KeyPart.REASON,), (KeyPart.AGENT, KeyPart.CLASS), (KeyPart.LANE,)):
        causes = Causes(key)
        causes.add(letters)
        found[key] = [[value for _, value in cause.key] for cause in causes.table().causes]
    assert sorted(found[DEFAULT_KEY]) == [["AError", "x", "deploy"], ["BError", "x", "deploy"], ["stale", "", "deploy"]]
    assert found[(KeyPart.REASON,)] == [["error"], ["stale"]]
    assert len(found[(KeyPart.AGENT, KeyPart.CLASS)]) == 3
    assert found[(KeyPart.LANE,)] == [["cortex:tasks:high"]]


def test_a_cause_keeps_its_id() -> None:
    """Notes are kept by id, so an id that changed between two versions would lose them."""
    assert cause_id(DEFAULT_KEY, ("TimeoutError", "no answer after #", "deploy")) == "z4tekdj2"
    causes = Causes()
    causes.add([letter(1, "TimeoutError: no answer after 5 s")])
    assert causes.table().causes[0].id == "z4tekdj2"
    assert cause_id((KeyPart.CLASS,), ("a",)) != cause_id((KeyPart.TYPE,), ("a",))


def test_too_many_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bounds letters are left out, and the table says how many."""
    monkeypatch.setattr("observatory.model.cause.MOST_CAUSES", 2)
    monkeypatch.setattr("observatory.model.cause.MOST_LETTERS", 4)
    causes = Causes()
    causes.add(letter(number, f"{'abc'[number % 3]}x failed") for number in range(9))
    table = causes.table()
    assert (len(table.causes), table.counted, table.left_out) == (2, 4, 5)


def test_no_letters_are_no_causes() -> None:
    """An empty stream has an empty table."""
    assert Causes().table().causes == ()
