"""A file and a stream kept equal in both directions: each side sees everything once, and nothing goes in circles."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from observatory.edge.files.dual import Writer
from observatory.edge.files.importer import Importer
from tests.conftest import eventually
from tests.edge.files.conftest import compared, lines, moved, write
from tests.edge.processes import process

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus import Bus
    from observatory.bus.talk.journal import Journal


@pytest.fixture
def journal(bus: Bus) -> Journal:
    """A journal whose stream is what all agents hear."""
    return bus.journal("old", stream=bus.keys.broadcasts)


async def settled(*sides: Importer | Writer) -> None:
    """Let both directions work until neither finds anything."""
    while any([await side.catch_up() for side in sides]):
        pass


async def test_both_sides_see_everything_once(bus: Bus, journal: Journal, tmp_path: Path) -> None:
    """Old agents append, new ones broadcast; file and stream hold the same, and each direction comes to rest."""
    log = tmp_path / "agents.log"
    await bus.broadcast("before anybody wrote to a file")
    write(log, lines(3))
    writer, importer = Writer(journal, log), Importer(journal, [log])
    await settled(writer, importer)
    for number in range(5):
        await bus.broadcast({"n": number, "text": "a\nb | c"}, type="news|letter")
        write(log, lines(2, first=10 * number + 10), mode="a")
        await settled(writer, importer)
    await bus.broadcast("two\nlines")
    await settled(writer, importer)
    rows = log.read_text().splitlines()
    assert len(rows) == 3 + 5 * 3 + 1
    assert rows[-1].endswith("||two\\nlines") or rows[-1].endswith("|-|two\\nlines")
    assert [row.split("|", 2)[2] for row in rows if "news" in row] == [
        f'news_letter|{{"n":{number},"text":"a\\nb | c"}}' for number in range(5)
    ]
    assert len(await moved(journal)) == 1 + 3 + 5 * 3 + 1
    found = await compared(journal, log)
    assert (found.is_exact, found.entries, found.written, found.echoed) == (True, 13, 6, 6)
    assert (await journal.state()).echoed == 6


async def test_what_stood_in_the_file_before_is_passed_over_once(bus: Bus, journal: Journal, tmp_path: Path) -> None:
    """Nobody hears the past as news; what comes while nobody carries it is not passed over at the next start."""
    log, other = tmp_path / "agents.log", tmp_path / "empty.log"
    write(log, [*lines(3), "no line"])
    write(other, [])
    for first in (3, 5):
        await Importer(journal, [log, other]).pass_over()
        write(log, lines(2, first=first), mode="a")
        write(other, lines(2, first=first + 100), mode="a")
    await Importer(journal, [log, other]).catch_up()
    assert sorted(await moved(journal)) == sorted(
        [*lines(2, first=3), *lines(2, first=5), *lines(2, first=103), *lines(2, first=105)]
    )
    found = await compared(journal, log, other)
    assert (found.is_exact, found.lines, found.aside) == (True, 8, 0)


@pytest.mark.parametrize("written", [0, 1, 20, 200, 10_000])
async def test_a_writer_that_dies_in_the_middle_of_its_lines_is_continued(
    bus: Bus, journal: Journal, tmp_path: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever part of its lines got to the disk, and with a rotation behind it, each is there once."""
    log = tmp_path / "agents.log"
    write(log, lines(2))
    writer = Writer(journal, log)
    await writer.begin()
    for number in range(4):
        await bus.broadcast(f"message {number}", type="note")

    def dies(data: bytes) -> None:
        with log.open("ab") as file:
            file.write(data[:written])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_append", dies)
        with pytest.raises(KeyboardInterrupt):
            await writer.catch_up()
    if written in {0, 10_000}:
        write(log, lines(1, first=50), mode="a")
        log.rename(tmp_path / "agents.log.1")
    successor, importer = Writer(journal, log), Importer(journal, [log])
    await settled(successor, importer)
    old = tmp_path / "agents.log.1"
    rows = [row for path in (old, log) if path.exists() for row in path.read_text().splitlines()]
    assert [row.rpartition("|")[2] for row in rows if "message" in row] == [f"message {number}" for number in range(4)]
    assert (await compared(journal, log)).is_exact
    assert (await journal.state()).echoed == 4


async def test_both_directions_survive_being_killed(bus: Bus, bus_url: str, tmp_path: Path, soak: bool) -> None:
    """The command is killed again and again while both sides write: in the end they are equal."""
    journal = bus.journal("files", stream=bus.keys.broadcasts)
    log = tmp_path / "agents.log"
    write(log, [])
    command = [sys.executable, "-m", "observatory", "migrate", "files", "dual", str(log), "--past"]
    command += ["--into", "broadcasts"]
    environment = {**os.environ, "OBSERVATORY_URL": bus_url}
    count = 0
    for _ in range(12 if soak else 3):
        before = (await journal.state()).imported
        async with process(*command, env=environment):
            for number in range(count, count + 20):
                await bus.broadcast(f"new {number}", type="note")
                write(log, [f"old|{1_770_000_000 + number}|note|old {number}"], mode="a")
            count += 20
            await _grown(journal, before)
    await settled(Writer(journal, log), Importer(journal, [log]))
    started = int(log.read_text().count("|new "))
    for held in (log.read_text().splitlines(), await moved(journal)):
        said = [row.rpartition("|")[2] for row in held]
        assert [text for text in said if text.startswith("old")] == [f"old {number}" for number in range(count)]
        # What was told before anybody wrote to the file is not for it.
        new = [text for text in said if text.startswith("new")]
        assert new[-started:] == [f"new {number}" for number in range(count - started, count)]
        assert len(new) in {started, count}
    assert started > count // 2
    found = await compared(journal, log)
    assert (found.is_exact, found.entries, found.written) == (True, count, started)


async def _grown(journal: Journal, before: int) -> None:
    async def has() -> bool:
        return (await journal.state()).imported > before

    await eventually(has, timeout=30)
