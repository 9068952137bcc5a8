"""Old logs moved into a stream: whole, in order, once, whatever happens to the files and to the importer."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory.bus.payloads.blobs import CLAIM_TYPE, BlobStore
from observatory.bus.talk.journal import Journal, JournalMovedError
from observatory.edge.files.artifacts import Artifacts
from observatory.edge.files.importer import Importer
from observatory.edge.files.lines import NoLineError, parse, written
from observatory.edge.files.sources import families
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.message import Broadcast
from observatory.model.wire import MAX_PAYLOAD, rfc3339
from tests.conftest import eventually
from tests.edge.files.conftest import compared, imported, lines, moved, write
from tests.edge.processes import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis

    from observatory.bus import Bus


@contextlib.asynccontextmanager
async def following(journal: Journal, *paths: Path) -> AsyncIterator[Importer]:
    """Follow files for the length of a block."""
    importer = Importer(journal, paths)
    running = asyncio.create_task(importer.follow())
    try:
        yield importer
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_import_that_is_killed_twice_ends_exact(
    bus_url: str, journal: Journal, plain: redis.Redis, tmp_path: Path, soak: bool
) -> None:
    """However it is killed, every line is there once, in order, and the bad ones are aside with their numbers."""
    count = 1_000_000 if soak else 20_000
    rows = lines(count)
    for number in range(100, count, count // 20):
        rows[number] = f"garbage {number}"
    log = tmp_path / "agents.log"
    write(log, rows)
    command = [sys.executable, "-m", "observatory", "migrate", "files", "import", str(log), "--journal", "old"]
    environment = {**os.environ, "OBSERVATORY_URL": bus_url}
    for share in (0.2, 0.6):
        async with process(*command, env=environment, stderr=asyncio.subprocess.DEVNULL):
            await eventually(lambda share=share: plain.xlen(journal.stream) > share * count, timeout=120)  # type: ignore[misc]
    assert plain.xlen(journal.stream) < count
    async with process(*command, env=environment) as last:
        assert await last.wait() == 0
    found = await compared(journal, log)
    assert (found.is_exact, found.lines, found.entries, found.aside) == (True, count, count - 20, 20)
    assert found.unread == 0
    assert await moved(journal) == [row for row in rows if "|" in row]
    aside = [one for _, one in await journal.kept_aside("", 100)]
    assert [(one.number, one.raw.decode()) for one in aside] == [
        (number + 1, row) for number, row in enumerate(rows) if "|" not in row
    ]


async def test_rotated_and_compressed_files_are_one_log_and_nothing_comes_twice(
    journal: Journal, tmp_path: Path
) -> None:
    """The oldest first, however they are named; a second import, and one after a rotation, add only what is new."""
    rows = lines(50)
    log = tmp_path / "agents.log"
    with gzip.open(tmp_path / "agents.log.2.gz", "wt") as file:
        file.writelines(f"{row}\n" for row in rows[:20])
    write(tmp_path / "agents.log.1", rows[20:35])
    write(log, rows[35:40])
    assert await imported(journal, log) == 40
    assert await imported(journal, log) == 0
    (tmp_path / "agents.log.2.gz").rename(tmp_path / "agents.log.3.gz")
    with (tmp_path / "agents.log.1").open("rb") as old, gzip.open(tmp_path / "agents.log.2.gz", "wb") as packed:
        shutil.copyfileobj(old, packed)
    write(log, rows[40:45], mode="a")
    log.replace(tmp_path / "agents.log.1")
    write(log, rows[45:])
    assert await imported(journal, log) == 10
    assert await moved(journal) == rows
    assert (await compared(journal, log)).is_exact


def test_files_of_a_log_are_found_in_the_order_of_their_age(tmp_path: Path) -> None:
    """Numbers count backwards, dates forwards; other logs in the same folder are other logs."""
    names = ["a.log", "a.log.1", "a.log.10.gz", "a.log.2", "b.log-20260207", "b.log-20260206.gz", "b.log", "a.log.txt"]
    for name in names:
        (tmp_path / name).touch()
    found = {family.base.name: [path.name for path in family.files] for family in families([tmp_path])}
    assert found == {
        "a.log": ["a.log.10.gz", "a.log.2", "a.log.1", "a.log"],
        "a.log.txt": ["a.log.txt"],
        "b.log": ["b.log-20260206.gz", "b.log-20260207", "b.log"],
    }
    assert families([tmp_path / "a.log.2"])[0].base == tmp_path / "a.log"
    with pytest.raises(UsageError, match="there is no such file"):
        families([tmp_path / "c.log"])


async def test_one_log_per_role_becomes_one_order(journal: Journal, tmp_path: Path) -> None:
    """Lines of several logs are merged by their times; a clock that went back reorders nothing within its log."""
    rows = lines(60)
    for role in ("pink", "harold", "blue"):
        write(tmp_path / f"{role}.log", [row for row in rows if row.startswith(role)])
    back = ["late|1770000005.5|note|1", "late|1770000001.0|note|2", "late|1770000005.7|note|3"]
    write(tmp_path / "late.log", back)
    assert await imported(journal, tmp_path) == 63
    got = await moved(journal)
    assert [row for row in got if row not in back] == rows
    assert [row for row in got if row in back] == back
    assert (await compared(journal, tmp_path)).is_exact


async def test_a_log_is_followed_through_rotation_and_truncation(journal: Journal, tmp_path: Path) -> None:
    """Lines arrive as they are written, half lines when they are whole, and a rotation loses none."""
    rows = lines(40)
    log = tmp_path / "agents.log"
    write(log, rows[:5])
    async with following(journal, log):

        async def grown(count: int) -> None:
            await eventually(lambda: _is_moved(journal, rows[:count]))

        await grown(5)
        with log.open("a") as file:
            file.write(rows[5] + "\n" + rows[6][:10])
            file.flush()
            await grown(6)
            file.write(rows[6][10:] + "\n")
        await grown(7)
        write(log, rows[7:10], mode="a")
        log.rename(tmp_path / "agents.log.1")
        write(log, rows[10:15])
        await grown(15)
        shutil.copy(log, tmp_path / "copy")
        write(tmp_path / "copy", rows[15:17], mode="a")
        (tmp_path / "agents.log.1").rename(tmp_path / "agents.log.2")
        (tmp_path / "copy").rename(tmp_path / "agents.log.1")
        log.write_text("")
        write(log, rows[17:20], mode="a")
        await grown(20)
    assert (await compared(journal, log)).is_exact


async def _is_moved(journal: Journal, rows: list[str]) -> bool:
    return await moved(journal) == rows


async def test_bad_lines_are_kept_aside_with_what_is_wrong(journal: Journal, tmp_path: Path) -> None:
    """Each keeps its number and its bytes; blank lines are nobody's fault; good ones around them are imported."""
    raw = [
        b"pink|1770000000|note|fine\r",
        b"",
        b"no bars at all",
        b"pink|yesterday|note|x",
        b"|1770000000|note|x",
        b"pink|1770000000||x",
        b"pi\x1bnk|1770000000|note|x",
        b"p" * 201 + b"|1770000000|note|x",
        b"\xff\xfe|1770000000|note|x",
        b"pink|2026-02-06T11:45:00Z|note|\xff\x00 any | bytes",
        b"pink|1770000000|note|" + b"x" * (MAX_PAYLOAD + 1),
    ]
    log = tmp_path / "agents.log"
    log.write_bytes(b"\n".join(raw) + b"\n")
    assert await imported(journal, log) == len(raw)
    aside = [one for _, one in await journal.kept_aside("", 100)]
    assert [(one.number, one.why.split(" ", 2)[1]) for one in aside] == [
        (3, "is"), (4, "timestamp"), (5, "role"), (6, "type"), (7, "role"), (8, "role"), (9, "role"), (11, "payload"),
    ]  # fmt: skip
    assert aside[0].raw == raw[2]
    assert [dict(fields)[b"payload"] for _, fields in await journal.entries("", 10)] == [
        b"fine",
        b"\xff\x00 any | bytes",
    ]
    assert (await compared(journal, log)).is_exact


async def test_artifacts_and_large_payloads_become_claim_checks(journal: Journal, bus: Bus, tmp_path: Path) -> None:
    """Entries carry references, the store has the bytes, and a path that leads out of the folder leads nowhere."""
    folder, log = tmp_path / "files", tmp_path / "agents.log"
    folder.mkdir()
    (folder / "report.pdf").write_bytes(b"%PDF" + bytes(1000))
    (tmp_path / "secret").write_text("secret")
    large = "x" * (MAX_PAYLOAD + 1)
    names = ("report.pdf", "../secret", "missing", "nul\0")
    write(log, [*(f"pink|1770000000|artifact|{name}" for name in names), f"pink|1770000001|note|{large}"])
    store = BlobStore.open(tmp_path / "blobs")
    artifacts = Artifacts(store, folder)
    assert await imported(journal, log, artifacts=artifacts) == 5
    entries = [dict(fields) for _, fields in await journal.entries("", 10)]
    assert [said[b"content_type"].decode() for said in entries] == [CLAIM_TYPE, CLAIM_TYPE]
    assert [(await store.get(said[b"payload"]))[0] for said in entries] == [
        (folder / "report.pdf").read_bytes(),
        large.encode(),
    ]
    assert [one.number for _, one in await journal.kept_aside("", 10)] == [2, 3, 4]
    assert (await compared(journal, log, artifacts=artifacts)).is_exact
    (folder / "report.pdf").write_bytes(b"another")
    assert (await compared(journal, log, artifacts=artifacts)).changed == 1


async def test_two_importers_of_the_same_files_never_double_a_line(bus: Bus, tmp_path: Path) -> None:
    """Each batch goes in only if its sources are where its importer left them; whoever is behind is told."""
    log = tmp_path / "agents.log"
    write(log, lines(8_000))
    outcomes = await asyncio.gather(*(imported(bus.journal("old"), log) for _ in range(3)), return_exceptions=True)
    assert any(isinstance(outcome, int) for outcome in outcomes)
    assert all(isinstance(outcome, int | JournalMovedError) for outcome in outcomes)
    await imported(bus.journal("old"), log)
    found = await compared(bus.journal("old"), log)
    assert (found.is_exact, found.entries) == (True, 8_000)


async def test_parity_names_the_first_difference(journal: Journal, plain: redis.Redis, tmp_path: Path) -> None:
    """A deleted, a foreign, a repeated and a changed entry, a lost file and lines not imported yet are all told."""
    log, other = tmp_path / "agents.log", tmp_path / "other.log"
    write(log, lines(20))
    write(other, ["x|1770009999|note|x"])
    await imported(journal, log, other)
    entries = await journal.entries("", 100)
    plain.xdel(journal.stream, entries[4][0])
    found = await compared(journal, log, other)
    assert (found.missing, found.extra, found.changed) == (1, 0, 0)
    assert "line 5 of" in found.first
    again: Any = dict(entries[6][1])
    plain.xadd(journal.stream, again)
    changed: Any = {**dict(entries[7][1]), b"id": b"nobody-7"}
    plain.xadd(journal.stream, changed)
    assert (await compared(journal, log, other)).extra == 2
    other.unlink()
    write(log, lines(2, first=20), mode="a")
    found = await compared(journal, log)
    assert (found.lost_files, found.unread) == (("other.log",), 2)
    assert not found.is_exact


async def test_lines_go_to_the_mailbox_of_an_agent_and_are_read_as_messages(bus: Bus, tmp_path: Path) -> None:
    """`--into` a mailbox: a new agent reads what old ones wrote to their log, and a name has one stream for ever."""
    log = tmp_path / "agents.log"
    write(log, ["pink|1770000000|note|hello"])
    await imported(bus.journal("to-red", stream=bus.keys.mailbox("red")), log)
    async with bus.inbox("red") as inbox:
        letter = await anext(inbox)
        assert (letter.sender, letter.type, letter.payload) == ("pink", "note", b"hello")
    with pytest.raises(UsageError, match="its lines go to"):
        await imported(bus.journal("to-red"), log)


async def test_a_damaged_archive_is_an_error_that_names_it(journal: Journal, tmp_path: Path) -> None:
    """What stands before the damage may be there; nothing is passed over silently."""
    whole = gzip.compress("".join(f"{row}\n" for row in lines(2000)).encode())
    (tmp_path / "agents.log.1.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ObservatoryError, match=r"agents.log.1.gz: cannot be read"):
        await imported(journal, tmp_path / "agents.log")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_none_with_a_reason(raw: bytes) -> None:
    """The parser never fails in any other way."""
    with contextlib.suppress(NoLineError):
        line = parse(raw)
        assert line.role
        assert line.data == raw.split(b"|", 3)[3]


@given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=200))
def test_what_is_written_to_a_file_is_one_line_that_can_be_read(sender: str, kind: str, payload: bytes) -> None:
    """Whatever an entry holds, its line has one line break, four parts, and its payload where it is one line."""
    said = ((b"from", sender.encode("utf-8", "replace")), (b"type", kind.encode("utf-8", "replace")))
    note = Broadcast.read("1770000000000-0", (*said, (b"payload", payload)))
    raw = written(note)
    assert raw.count(b"\n") == 1
    line = parse(raw.rstrip(b"\n"))
    assert line.at.decode() == rfc3339(note.created_ms)
    if not {b"\n", b"\r"} & {bytes([byte]) for byte in note.payload}:
        assert line.data == note.payload
