"""Questions in SQL: over sealed and hot history alike, and nothing but questions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from observatory.history import sql
from observatory.history.seal import Sealer
from observatory.history.source import PastSource
from observatory.model.errors import ObservatoryError, UsageError
from tests.history.conftest import chronicle_of
from tests.history.logs import entries, facts, put

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from observatory.bus import Bus
    from observatory.history.archive import Archive
    from observatory.model.event import Event


@pytest.fixture
async def log(bus: Bus, plain: redis.Redis, archive: Archive) -> list[Event]:
    """Return the facts of a log whose first part is sealed."""
    written = entries(3000, per_s=1.0)
    put(plain, written[:1500])
    await Sealer(bus.partitions, archive).seal()
    put(plain, written[1500:])
    return facts(written)


@pytest.fixture
async def source(bus: Bus, log: list[Event], archive: Archive) -> PastSource:
    """Return the past of it."""
    return PastSource(await chronicle_of(bus, archive), bus.keys, origin="x")


async def test_sealed_and_hot_events_are_one_view(source: PastSource, log: list[Event]) -> None:
    """Every event is there once, with its id, and counts come out as by hand."""
    answer = await source.ask_sql("select kind, count(*) n from events group by kind", seconds=30)
    assert dict(answer.rows) == Counter(event.kind for event in log)
    assert answer.names == ("kind", "n")
    ids = await source.ask_sql("select id from events order by ts, seq, place limit 50", seconds=30)
    assert [row[0] for row in ids.rows] == [event.id for event in log[:50]]


@pytest.mark.parametrize("name", [one.name for one in sql.READY])
async def test_every_ready_question_has_an_answer(source: PastSource, name: str) -> None:
    """Each of them runs, and finds something in a day with failures."""
    answer = await source.ask_sql(sql.ready(name).sql, seconds=30)
    assert answer.rows
    assert not answer.more


async def test_a_ready_question_is_right(source: PastSource, log: list[Event]) -> None:
    """The failure rate of a type and agent is what counting the facts gives."""
    answer = await source.ask_sql(sql.ready("failures").sql, seconds=30)
    for type_, agent, ok, failed, percent in answer.rows:
        mine = [event for event in log if event.type == type_ and event.agent.partition("@")[0] == agent]
        kinds = Counter(event.kind for event in mine)
        assert (ok, failed) == (kinds["completed"], kinds["retried"] + kinds["dead_lettered"])
        assert float(percent) == pytest.approx(100 * failed / (ok + failed), abs=0.06)


@pytest.mark.parametrize(
    "question",
    [
        "drop view events",
        "select 1; select 2",
        "copy events to '/tmp/x.csv'",
        "create table x as select 1",
        "attach '/tmp/x.db'",
        "set threads = 8",
        "install httpfs",
        "",
        "selct 1",
    ],
)
async def test_only_questions_are_answered(source: PastSource, question: str) -> None:
    """Nothing can be written, opened or set by way of a question; a slip is pointed at."""
    with pytest.raises(UsageError):
        await source.ask_sql(question, seconds=30)


async def test_other_files_cannot_be_read(source: PastSource, tmp_path: Path) -> None:
    """A question sees the events and no other file of the machine."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError):
        await source.ask_sql(f"select * from read_csv('{secret}')", seconds=30)  # noqa: S608 - that is the point


async def test_a_question_that_takes_too_long_is_ended(source: PastSource) -> None:
    """It ends by itself, and says what to do."""
    with pytest.raises(ObservatoryError, match="no answer within"):
        await source.ask_sql(
            "select count(*) from range(100000000) a, range(100000000) b where a.range < b.range", seconds=0.2
        )
