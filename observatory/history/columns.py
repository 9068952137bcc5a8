"""Events as columns: from the pages of the log to an Arrow table, and back to facts; one schema for all that is kept.

Text that is no UTF-8 is kept with U+FFFD in the place of what cannot be read: columns are there for every tool. Where a
foreign agent writes the separators of our own facts into its text, `?` stands for them, as in ours.
"""

from __future__ import annotations

from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from observatory.bus.reads.log import read_events
from observatory.model.event import Event, event_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from observatory.model.reduce import Row

_WORD = pa.dictionary(pa.int32(), pa.string())
WORDS: Final = ("kind", "task", "type", "lane", "agent", "reason", "detail")
"""Columns of text; each is a dictionary of the words of its row group."""

SCHEMA: Final = pa.schema(
    [
        ("ts", pa.timestamp("ms")),
        ("ahead", pa.int64()),
        ("seq", pa.int64()),
        ("place", pa.int32()),
        ("partition", pa.int16()),
        ("kind", _WORD),
        ("task", _WORD),
        ("type", _WORD),
        ("lane", _WORD),
        ("agent", _WORD),
        ("attempt", pa.int32()),
        ("reason", _WORD),
        ("took_ms", pa.int64()),
        ("detail", _WORD),
    ]
)
"""`ts` is server time in UTC, without a zone, which not every tool can read.

The id is `<ts + ahead>-<seq>`, with `.<place>` where it is not 0 and `@<partition>` where that is not negative; `ahead`
is 0 unless a clock jumped.
"""

_PARTS: Final = 8
_RUN: Final = "\x1f"
_LIST: Final = "\x1e"


@cache
def empty() -> pa.Table:
    """Return a table of no events."""
    return SCHEMA.empty_table()


def read_page(rows: Sequence[tuple[bytes, Sequence[bytes]]], partition: int = -1) -> pa.Table:
    """Return the facts of entries of the log, as XRANGE gave them, in order.

    Args:
        rows: Entry ids, and their names and values in turn.
        partition: Number of the partition that they come from; -1 for a bus of one part.
    """
    if not rows:
        return empty()
    ids: list[bytes] = []
    times: list[bytes] = []
    kinds: list[bytes] = []
    values: list[bytes] = []
    runs: list[int] = []
    for ident, flat in rows:
        if flat[0] == b"ts" and flat[1].isdigit() and b"kind" not in flat[2::2] and not len(flat) % 2:
            words, said, time = flat[2::2], flat[3::2], flat[1]
        else:
            words, said, time = _by_hand(ident, flat)
        ids.append(ident)
        times.append(time)
        kinds += words
        values += said
        runs.append(len(words))
    return _table(ids, times, runs, kinds, values, partition=partition)


def _by_hand(ident: bytes, flat: Sequence[bytes]) -> tuple[list[bytes], list[bytes], bytes]:
    """Return what a foreign or unusual entry says as runs of one fact each, the way our scripts write them."""
    events = read_events(ident, flat)
    time = events[0].ts_ms if events else event_order(ident.decode())[0]
    said = [
        (e.task, e.type, e.lane, e.agent, str(e.attempt), e.reason, "" if e.ms is None else str(e.ms), e.detail)
        for e in events
    ]
    values = [_RUN.join(part.replace(_RUN, "?").replace(_LIST, "?") for part in parts) for parts in said]
    return (
        [e.kind.encode("utf-8", "replace") for e in events],
        [value.encode("utf-8", "surrogateescape") for value in values],
        str(time).encode(),
    )


def _table(
    ids: list[bytes], times: list[bytes], runs: list[int], kinds: list[bytes], values: list[bytes], *, partition: int
) -> pa.Table:
    parts = pc.split_pattern(_text(values), _RUN, max_splits=_PARTS - 1)
    if pc.min_max(pc.list_value_length(parts))["min"].as_py() != _PARTS:
        parts = pa.array([(part + [""] * _PARTS)[:_PARTS] for part in parts.to_pylist()], parts.type)
    flat = parts.flatten()
    starts = np.arange(0, len(flat), _PARTS)
    said = [flat.take(pa.array(starts + at)) for at in range(_PARTS)]
    tasks, lasted = pc.split_pattern(said[0], _LIST), pc.split_pattern(said[6], _LIST)
    sizes = pc.list_value_length(tasks).to_numpy(zero_copy_only=False)
    if not np.array_equal(sizes, pc.list_value_length(lasted).to_numpy(zero_copy_only=False)):
        lasted = pa.array(
            [(list(ms) + [""] * len(names))[: len(names)] for names, ms in zip(tasks.to_pylist(), lasted.to_pylist())],  # noqa: B905
            lasted.type,
        )
    run_of = np.repeat(np.arange(len(values)), sizes)
    entry_of_run = np.repeat(np.arange(len(ids)), runs)
    entry_of = entry_of_run[run_of]
    of_entry = np.bincount(entry_of, minlength=len(ids))
    place = np.arange(len(run_of)) - np.repeat(np.cumsum(of_entry) - of_entry, of_entry)
    halves = pc.split_pattern(_text(ids), "-").flatten()
    ms = pc.cast(halves.take(pa.array(np.arange(0, len(halves), 2))), pa.int64()).to_numpy()
    seq = pc.cast(halves.take(pa.array(np.arange(1, len(halves), 2))), pa.uint64()).to_numpy().astype(np.int64)
    at = pc.cast(_text(times), pa.int64()).to_numpy()
    run_index = pa.array(run_of, pa.int32())

    def word(column: pa.Array) -> pa.Array:
        coded = column.dictionary_encode()
        return pa.DictionaryArray.from_arrays(coded.indices.take(run_index), coded.dictionary)

    return pa.Table.from_arrays(
        [
            pa.array(at[entry_of], pa.int64()).cast(SCHEMA.field("ts").type),
            pa.array((ms - at)[entry_of], pa.int64()),
            pa.array(seq[entry_of], pa.int64()),
            pa.array(place, pa.int32()),
            pa.array(np.full(len(run_of), partition, np.int16)),
            word(_text(kinds)),
            tasks.flatten().dictionary_encode(),
            word(said[1]),
            word(said[2]),
            word(said[3]),
            _numbers(said[4], run_of),
            word(said[5]),
            _durations(lasted.flatten()),
            word(said[7]),
        ],
        schema=SCHEMA,
    )


def _text(values: list[bytes]) -> pa.Array:
    column = pa.array(values, pa.binary())
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value.decode("utf-8", "replace") for value in values], pa.string())


def _numbers(column: pa.Array, run_of: Any) -> pa.Array:  # noqa: ANN401 - an array of numpy
    coded = column.dictionary_encode()
    read = np.array([_integer(text) or 0 for text in coded.dictionary.to_pylist()] or [0], np.int64)
    codes = coded.indices.to_numpy(zero_copy_only=False)
    return pa.array(np.clip(read[codes][run_of], -1, 2**31 - 1), pa.int32())


def _durations(column: pa.Array) -> pa.Array:
    given = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    try:
        return given.cast(pa.int64())
    except pa.ArrowInvalid:
        return pa.array([_integer(text) for text in column.to_pylist()], pa.int64())


def _integer(text: str) -> int | None:
    try:
        return min(max(int(text), -(2**62)), 2**62) if text else None
    except ValueError:
        return None


# -- and back ---------------------------------------------------------------------------------------------------------


def times_of(table: pa.Table) -> Any:  # noqa: ANN401 - an array of numpy
    """Return the server time of each event in ms, as an array of integers."""
    return table.column("ts").cast(pa.int64()).to_numpy()


def coded(table: pa.Table, name: str) -> pa.DictionaryArray:
    """Return a column of text as one array of codes and their words."""
    return table.column(name).combine_chunks()


def words_of(table: pa.Table, name: str) -> list[str]:
    """Return a column of text as words."""
    return _words(table.column(name)).tolist()  # type: ignore[no-any-return]


def _words(column: pa.ChunkedArray) -> Any:  # noqa: ANN401 - an array of numpy
    found = []
    for chunk in column.chunks:
        if len(chunk.dictionary) <= 2 * len(chunk):
            words = np.array(chunk.dictionary.to_pylist(), dtype=object)
            found.append(words[chunk.indices.to_numpy(zero_copy_only=False)] if len(chunk) else words[:0])
        else:
            found.append(chunk.dictionary_decode().to_numpy(zero_copy_only=False))
    return found[0] if len(found) == 1 else np.concatenate(found) if found else np.empty(0, dtype=object)


def rows_of(table: pa.Table) -> Iterator[Row]:
    """Yield what the books need of each event."""
    kind, task, type_, lane, agent, reason, detail = (words_of(table, name) for name in WORDS)
    lasted = table.column("took_ms").to_pylist()
    attempt = table.column("attempt").to_numpy().tolist()
    return zip(kind, times_of(table).tolist(), task, type_, lane, agent, attempt, reason, lasted, detail, strict=True)


def ids_of(table: pa.Table) -> list[str]:
    """Return the id of each event."""
    at, ahead = times_of(table), table.column("ahead").to_numpy()
    numbers = zip(
        (at + ahead).tolist(),
        table.column("seq").to_numpy().tolist(),
        table.column("place").to_numpy().tolist(),
        table.column("partition").to_numpy().tolist(),
        strict=True,
    )
    return [
        f"{ms}-{seq}{f'.{place}' if place else ''}{f'@{part}' if part >= 0 else ''}" for ms, seq, place, part in numbers
    ]


def events_of(table: pa.Table) -> list[Event]:
    """Return the events of *table* as facts, in its order."""
    return [
        Event(ident, kind, ts, task, type_, lane, agent, attempt, reason, ms, detail)
        for ident, (kind, ts, task, type_, lane, agent, attempt, reason, ms, detail) in zip(
            ids_of(table), rows_of(table), strict=True
        )
    ]


def table_of(events: Iterable[Event]) -> pa.Table:
    """Return *events* as columns, in their order; what `events_of` undoes."""
    facts = list(events)
    orders = [event_order(fact.id) for fact in facts]
    given: dict[str, Iterable[Any]] = {
        "ts": [fact.ts_ms for fact in facts],
        "ahead": [order[0] - fact.ts_ms for order, fact in zip(orders, facts, strict=True)],
        "seq": [order[1] for order in orders],
        "place": [order[3] for order in orders],
        "partition": [order[2] for order in orders],
        "attempt": [fact.attempt for fact in facts],
        "took_ms": [fact.ms for fact in facts],
        **{name: [_clean(getattr(fact, name)) for fact in facts] for name in WORDS},
    }
    arrays = []
    for field in SCHEMA:
        if field.name in WORDS:
            arrays.append(pa.array(given[field.name], pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(given[field.name], pa.int64()).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def order_of(table: pa.Table) -> tuple[Any, Any, Any, Any]:
    """Return ms, sequence, partition and place of each event as arrays: what puts events in order."""
    ms = times_of(table) + table.column("ahead").to_numpy()
    return ms, *(table.column(name).to_numpy() for name in ("seq", "partition", "place"))


def in_order(table: pa.Table) -> pa.Table:
    """Return *table* in the order of the ids, each event once."""
    if table.num_rows < 2:
        return table
    ms, seq, partition, place = order_of(table)
    order = np.lexsort((place, partition, seq, ms))
    keys = [key[order] for key in (ms, seq, partition, place)]
    fresh = np.concatenate(([True], np.logical_or.reduce([key[1:] != key[:-1] for key in keys])))
    if fresh.all() and bool((order == np.arange(len(order))).all()):
        return table
    return table.take(pa.array(order[fresh]))


def behind(table: pa.Table, last: tuple[int, int, int, int]) -> pa.Table:
    """Return the events of an ordered *table* that come after the one whose `event_order` is *last*."""
    ms, seq, partition, place = order_of(table)
    low = int(np.searchsorted(ms, last[0], "left"))
    high = int(np.searchsorted(ms, last[0], "right"))
    keys = zip(seq[low:high].tolist(), partition[low:high].tolist(), place[low:high].tolist(), strict=True)
    known = sum(one <= two for one, two in zip(keys, repeat(last[1:])))
    return table.slice(low + known)


def unified(tables: Sequence[pa.Table]) -> pa.Table:
    """Return *tables* behind each other as one of one chunk, whose dictionaries hold each word once."""
    if len(tables) == 1:
        return tables[0].combine_chunks()
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def compact(table: pa.Table) -> pa.Table:
    """Return *table* with dictionaries that hold only words that occur in it; those of its parts may hold more."""
    for name in ("task", "detail"):
        plain = coded(table, name).dictionary_decode()
        table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), plain.dictionary_encode())
    return table.combine_chunks()
