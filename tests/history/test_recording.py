"""Recordings: one file that opens anywhere, up to its damage, and holds nothing that was to be left out."""

from __future__ import annotations

import json
import random
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq
import pytest

from observatory.history import recording
from observatory.history.index import unpack
from observatory.history.index_file import read_index
from observatory.history.recording import About, Recording, open_recording, write_recording
from observatory.history.seal import Sealer
from observatory.history.source import PastSource
from observatory.model.agent import agent_of
from observatory.model.errors import ObservatoryError, UsageError
from observatory.model.timeline import Bookmark
from tests.history.conftest import chronicle_of
from tests.history.logs import entries, put

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from observatory.bus import Bus
    from observatory.history.archive import Archive
    from observatory.history.chronicle import Chronicle
    from observatory.model.event import Event


@pytest.fixture
async def past(bus: Bus, plain: redis.Redis, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Chronicle:
    """Return two hours, the first of them sealed."""
    monkeypatch.setattr(recording, "CHUNK_ROWS", 700)
    log = entries(6000, per_s=0.8)
    put(plain, log[:4000])
    await Sealer(bus.partitions, archive).seal()
    put(plain, log[4000:])
    return await chronicle_of(bus, archive)


@pytest.fixture
def about(past: Chronicle) -> About:
    """Return the middle of them, with a bookmark."""
    first, last = past.first_ms or 0, past.last_ms or 0
    low, high = first + (last - first) // 4, last - (last - first) // 8
    return About("cortex", low, high, bookmarks=(Bookmark("1-0", low + 5, "here pink went wrong", "harold"),))


def recorded(path: Path, past: Chronicle, about: About) -> Recording:
    """Write and open a recording."""
    write_recording(path, past, about)
    return open_recording(path)


async def test_a_recording_shows_what_the_past_showed(past: Chronicle, about: About, tmp_path: Path) -> None:
    """At random times of its range every snapshot is the one that the bus's own past gives, seams or not."""
    found = recorded(tmp_path / "incident.obs", past, about)
    assert found.whole
    assert found.about == about
    low, high = past.row_at(about.from_ms - 1), past.row_at(about.to_ms)
    assert found.chronicle.events(0, found.chronicle.rows) == past.events(low, high)
    here = PastSource(past, found.keys, origin="x")
    there = PastSource(found.chronicle, found.keys, origin="x")
    rnd = random.Random(1)
    for _ in range(30):
        # Windows of two minutes reach back before the beginning of the file.
        at_ms = rnd.randrange(about.from_ms + 130_000, about.to_ms)
        one, two = await here.snapshot(at_ms), await there.snapshot(at_ms)
        assert one.lanes == two.lanes
        assert one.agents == two.agents
        assert (one.dead_letters, one.delayed, one.flow) == (two.dead_letters, two.delayed, two.flow)
        assert one.events[:20] == two.events[:20]


def test_a_file_that_was_cut_off_opens_up_to_the_cut(past: Chronicle, about: About, tmp_path: Path) -> None:
    """Whatever is whole before the damage is there, and what is missing is a gap that is shown."""
    path = tmp_path / "incident.obs"
    whole = recorded(path, past, about).chronicle
    all_of_it, data = whole.events(0, whole.rows), path.read_bytes()
    rows = []
    for share in (0.99, 0.8, 0.5, 0.3, 0.05):
        path.write_bytes(data[: int(len(data) * share)])
        found = open_recording(path)
        assert not found.whole
        assert found.chronicle.gaps[-1].why == "the file ends early"
        assert found.chronicle.events(0, found.chronicle.rows) == all_of_it[: found.chronicle.rows]
        rows.append(found.chronicle.rows)
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > rows[2] > 0
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    path.write_bytes(flipped)
    assert 0 < open_recording(path).chronicle.rows < len(all_of_it)


def text_of(path: Path) -> str:
    """Everything that a file says, unpacked."""
    said = [path.name]
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(".parquet"):
                with archive.open(name) as member:
                    said.append(json.dumps(pq.read_table(member).to_pylist(), default=str))
            elif name.endswith(".index"):
                said += [unpack(frame.data).decode() for frame in read_index(memoryview(data)).frames]
            said.append(data.decode("latin-1"))
    return "\n".join(said)


def test_what_is_redacted_is_nowhere_in_the_file(past: Chronicle, about: About, tmp_path: Path) -> None:
    """Not in its column, not in another one, not in a keyframe, not in a bookmark, and the rest is still of use."""
    path = tmp_path / "incident.obs"
    low, high = past.row_at(about.from_ms - 1), past.row_at(about.to_ms)
    there = past.events(low, high)
    plain = recorded(path, past, about)
    assert "pink" in text_of(path)
    write_recording(path, past, replace(about, redacted=("agent", "task")))
    said = text_of(path)
    gone = {event.task for event in there} | set(past.state(low).tasks) - {""}
    gone |= {agent_of(event.agent) for event in there} | {event.agent for event in there}
    gone |= {event.agent.partition("@")[2].partition(":")[0] for event in there}
    for value in gone - {""}:
        assert value not in said, value
    found = open_recording(path)
    assert found.about.redacted == ("agent", "task")
    assert [event.kind for event in found.chronicle.events(0, found.chronicle.rows)] == [event.kind for event in there]
    one, two = plain.chronicle.state(2000), found.chronicle.state(2000)
    assert sorted(task.state for task in one.tasks.values()) == sorted(task.state for task in two.tasks.values())
    with pytest.raises(UsageError, match="no field 'nonsense'"):
        write_recording(path, past, replace(about, redacted=("nonsense",)))


def test_only_what_was_asked_for_is_in_it(past: Chronicle, about: About, tmp_path: Path) -> None:
    """A filter keeps its events and the tasks of the beginning that it would keep."""

    def wanted(event: Event) -> bool:
        return event.type == "deploy"

    path = tmp_path / "incident.obs"
    count = write_recording(path, past, about, where=wanted)
    found = open_recording(path).chronicle
    events = found.events(0, found.rows)
    assert len(events) == count
    assert {event.type for event in events} == {"deploy"}
    assert {task.type for task in found.state(found.rows).tasks.values()} == {"deploy"}


def test_any_tool_reads_the_parquet_inside(past: Chronicle, about: About, tmp_path: Path) -> None:
    """As `unzip` takes it out, DuckDB counts what there is by its name and time."""
    path = tmp_path / "incident.obs"
    found = recorded(path, past, about).chronicle
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out", [name for name in archive.namelist() if name.endswith(".parquet")])
    files = duckdb.read_parquet(f"{tmp_path}/out/*.parquet")
    rows = files.aggregate("kind, count(*), min(ts)").fetchall()
    assert files.columns[0] == "ts"
    counted = {kind: number for kind, number, _ in rows}
    events = found.events(0, found.rows)
    assert counted == {kind: sum(event.kind == kind for event in events) for kind in counted}
    assert sum(counted.values()) == len(events)


@pytest.mark.parametrize("said", [b"", b"PK", b"not a recording at all, but long enough to look like something"])
def test_what_is_no_recording_is_refused_in_words(said: bytes, tmp_path: Path) -> None:
    """An empty file, a beginning, anything else."""
    path = tmp_path / "x.obs"
    path.write_bytes(said)
    with pytest.raises(ObservatoryError):
        open_recording(path)
    with pytest.raises(ObservatoryError, match="cannot be opened"):
        open_recording(tmp_path / "none.obs")


def test_a_recording_of_a_later_version_says_so(past: Chronicle, about: About, tmp_path: Path) -> None:
    """It is not read as if it were one of ours."""
    path = tmp_path / "incident.obs"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.json", json.dumps({"format": "observatory recording", "version": 2}))
    with pytest.raises(ObservatoryError, match="version 2"):
        open_recording(path)


def test_an_export_that_fails_leaves_what_was_there(past: Chronicle, about: About, tmp_path: Path) -> None:
    """The file of before is still whole, and nothing else lies beside it."""
    path = tmp_path / "incident.obs"
    recorded(path, past, about)
    before = path.read_bytes()

    def broken(_event: Event) -> bool:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_recording(path, past, about, where=broken)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.glob("*incident*")] == ["incident.obs"]
