"""Questions in SQL over the past, by DuckDB: read-only, bounded in time and memory, loaded only when asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from observatory.history.columns import SCHEMA, WORDS, empty
from observatory.model.errors import ObservatoryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MEMORY: Final = "1GB"
SECONDS: Final = 30.0
MOST_ROWS: Final = 10_000

_VIEW: Final = """
create view events as select *, (epoch_ms(ts) + ahead)::varchar || '-' || seq::varchar
  || case when place > 0 then '.' || place::varchar else '' end
  || case when partition >= 0 then '@' || partition::varchar else '' end as id,
  split_part(agent, '@', 1) as who
from ({parts})
"""


@dataclass(frozen=True, slots=True)
class Ready:
    """A question that is ready to be asked.

    Attributes:
        name: What it is called.
        what: What it answers.
        sql: The question.
    """

    name: str
    what: str
    sql: str


READY: Final = (
    Ready(
        "throughput", "tasks completed, per minute at the busiest, and p95 of running, by agent and type",
        """select who as agent, type, count(*) as completed, quantile_cont(took_ms, 0.95)::bigint as p95_ms,
        round(count(*) * 60.0 / greatest(date_diff('second', min(ts), max(ts)), 1), 1) as per_minute
        from events where kind = 'completed' group by all order by completed desc""",
    ),
    Ready(
        "failures", "share of attempts that failed, by type and agent",
        """select type, who as agent, count(*) filter (kind = 'completed') as ok,
        count(*) filter (kind <> 'completed') as failed,
        round(100.0 * count(*) filter (kind <> 'completed') / count(*), 1) as failed_percent
        from events where kind in ('completed', 'retried', 'dead_lettered') group by all order by failed desc""",
    ),
    Ready(
        "queue-time", "how long tasks waited for their first start, by lane, in ms",
        """select lane, count(*) as started, quantile_cont(took_ms, 0.5)::bigint as p50_ms,
        quantile_cont(took_ms, 0.95)::bigint as p95_ms, max(took_ms) as longest_ms
        from events where kind = 'taken' and attempt <= 1 group by all order by p95_ms desc""",
    ),
    Ready(
        "handover", "who published work that whom took: the graph of handovers",
        """select p.who as published_by, t.who as taken_by, count(*) as tasks
        from (select hash(task) as task, any_value(who) as who from events where kind = 'published' group by 1) p
        join (select hash(task) as task, arg_min(who, ts) as who from events where kind = 'taken' group by 1) t
        using (task)
        group by all order by tasks desc""",
    ),
    Ready(
        "longest-waits", "the fifty tasks that waited longest for their first start",
        """select ts, task, type, lane, who as agent, took_ms as waited_ms from events
        where kind = 'taken' and attempt <= 1 order by took_ms desc nulls last limit 50""",
    ),
    Ready(
        "retries", "errors that made attempts fail, most frequent first",
        """select type, regexp_replace(detail, '[0-9]+', '#', 'g') as error, count(*) as times,
        count(distinct task) as tasks, min(ts) as first, max(ts) as last
        from events where kind = 'retried' group by all order by times desc limit 100""",
    ),
    Ready(
        "deaths", "why tasks died, by reason, type and error",
        """select reason, type, regexp_replace(detail, '[0-9]+', '#', 'g') as error, count(*) as times,
        min(ts) as first, max(ts) as last
        from events where kind = 'dead_lettered' group by all order by times desc limit 100""",
    ),
    Ready(
        "who-acted", "what operators did: pauses, cancels, requeues",
        """select ts, kind, agent as by_whom, lane, task, detail from events
        where kind in ('paused', 'resumed', 'requeued') or (kind = 'cancelled' and took_ms is null)
        order by ts desc limit 1000""",
    ),
)  # fmt: skip
"""Questions that operators ask; each is a `select` over `events`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question brought.

    Attributes:
        names: Names of the columns.
        rows: The rows, at most `MOST_ROWS`.
        more: There were more.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool = False


def ready(name: str) -> Ready:
    """Return the ready question called *name*.

    Raises:
        UsageError: There is none; names all.
    """
    found = next((one for one in READY if one.name == name), None)
    if found is None:
        raise UsageError(f"there is no question {name!r}", f"one of {', '.join(one.name for one in READY)}")
    return found


def ask(
    question: str,
    *,
    files: Sequence[Path] = (),
    rest: Sequence[pa.Table] = (),
    seconds: float = SECONDS,
    memory: str = MEMORY,
) -> Answer:
    """Answer one `select` over the view `events`.

    Args:
        question: The question, in the SQL of DuckDB.
        files: Parquet files of events.
        rest: Events that are in no file of their own.
        seconds: Seconds after which to give up.
        memory: Memory that it may take, as DuckDB writes it.

    Raises:
        UsageError: It is no single `select`, or makes no sense; says where.
        ObservatoryError: It took too long, or too much memory.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"set memory_limit = '{memory}'; set threads = 2; set temp_directory = ''")
        parts = []
        if files:
            connection.read_parquet([str(path) for path in files]).create_view("sealed")
            parts.append("select * from sealed")
        plain = _plain(SCHEMA)
        connection.register("loose", pa.concat_tables([table.cast(plain) for table in (empty(), *rest)]))
        parts.append("select * from loose")
        connection.execute(_VIEW.format(parts=" union all by name ".join(parts)))
        folders = sorted({str(path.parent) + "/" for path in files})
        if folders:
            listed = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
            connection.execute(f"set allowed_directories = [{listed}]")
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        _refuse_what_is_no_question(connection, question)
        return _bounded(connection, question, seconds)


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return *schema* with plain text, which joins what files hold."""
    return pa.schema([field.with_type(pa.string()) if field.name in WORDS else field for field in schema])


def _refuse_what_is_no_question(connection: duckdb.DuckDBPyConnection, question: str) -> None:
    try:
        statements = connection.extract_statements(question)
    except duckdb.Error as error:
        raise UsageError(f"that is no SQL: {_first_line(error)}", "columns: see `describe`, or --list") from error
    kinds = [statement.type.name for statement in statements]
    if kinds not in (["SELECT"], ["EXPLAIN"]):
        raise UsageError("only one question at a time, and only a `select`", "the past cannot be changed")


def _bounded(connection: duckdb.DuckDBPyConnection, question: str, seconds: float) -> Answer:
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        found = connection.execute(question)
        rows = found.fetchmany(MOST_ROWS + 1)
        names = tuple(column[0] for column in found.description or ())
    except duckdb.OutOfMemoryException as error:
        raise ObservatoryError("the question takes more memory than it may", "ask about less, or aggregate") from error
    except duckdb.Error as error:
        if late.is_set():
            raise ObservatoryError(f"no answer within {seconds:g} s", "ask about less, or give it --seconds") from error
        raise UsageError(_first_line(error), "the view is `events`; `observatory query --list` has examples") from error
    finally:
        timer.cancel()
    return Answer(names, tuple(rows[:MOST_ROWS]), len(rows) > MOST_ROWS)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["refused"])[0]
