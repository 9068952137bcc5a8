"""The filter language: what is found, what is not, and what is said about a slip."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from observatory.model.filter import (
    ALL,
    Field,
    FieldSet,
    FieldValue,
    Filter,
    FilterError,
    Interval,
    Kind,
    Missing,
    describe,
    listed,
    parse,
    value_text,
)
from observatory.model.filter import rows as known_rows
from observatory.model.filter.syntax import And, Compare, Node, Not, Op, Or, Value, Word, is_special
from observatory.model.snapshot import LaneView
from observatory.model.task import Priority

NOW = 1_770_388_200_000
"""2026-02-06 14:30 UTC."""
MINUTE = 60_000


@dataclass(frozen=True)
class Row:
    """A row with a field of each kind."""

    agent: str | None = "pink"
    error: str | None = "dial tcp 10.0.0.7: connection refused"
    state: str | None = "pending"
    deliveries: int | None = 4
    idle: float | None = 400.0
    size: int | None = 300_000
    at: int | None = NOW - 10 * MINUTE
    paused: bool | None = False
    queues: tuple[str, ...] | None = ("coding", "deploy")
    payload: bytes | None = b'{"repo": "api-server", "n": 7, "deep": {"a b": [{"x": 1}, {"x": "Two"}]}, "ok": true}'
    task: FieldValue = Missing.NONE


FIELDS: FieldSet[Row] = FieldSet(
    "rows",
    (
        Field("agent", Kind.NAME, lambda row: row.agent, "who", words=True),
        Field("error", Kind.TEXT, lambda row: row.error, "why", words=True),
        Field("state", Kind.CHOICE, lambda row: row.state, "how", choices=("pending", "cancelled", "no consumers")),
        Field("deliveries", Kind.NUMBER, lambda row: row.deliveries, "how often", aliases=("tries",)),
        Field("idle", Kind.DURATION, lambda row: row.idle, "how long"),
        Field("size", Kind.SIZE, lambda row: row.size, "how large"),
        Field("at", Kind.TIME, lambda row: row.at, "when"),
        Field("paused", Kind.FLAG, lambda row: row.paused, "whether"),
        Field("queues", Kind.NAME, lambda row: row.queues, "where"),
        Field("payload", Kind.JSON, lambda row: row.payload, "what"),
        Field("task", Kind.NAME, lambda row: row.task, "which"),
    ),
)
ROW = Row()
UNKNOWN = Row(None, None, None, None, None, None, None, None, None, None, None)


def filter_of(text: str) -> Filter[Row]:
    return Filter(text, FIELDS, now_ms=NOW)


def attempt(text: str) -> Filter[Row] | FilterError:
    try:
        return filter_of(text)
    except FilterError as error:
        return error


FOUND = r"""
agent:pink
agent:PINK
agent:p*k
agent:pin?
agent:"pink"
agent:harold,pink
agent:*
agent~in
agent~/^p[a-m]nk$/
agent!=harold
agent!~harold
-agent:harold
not agent:harold
!agent:harold
error:refused
error:"connection refused"
error:dial*refused
error~/tcp \d+(\.\d+){3}: (connection )?refused/
state:pending
state:no-consumers,pending
-state:cancelled
deliveries>3
tries>3
deliveries >= 4
deliveries = 4
deliveries:4
deliveries:3..5
deliveries:4..
deliveries<0.1k
idle>5m
idle>6m30s
idle<400001ms
idle:5m..10m
size>256KB
size<1MiB
at>-11m
at<-9m
at>14:03
at:14:20
at:2026-02-06
at:2026-02-06T14:20:00Z
at:14:00..14:20
at>2026-02-06T15:00:00+01:00
paused:no
queues:deploy
queues:c*,x
payload~API
payload.repo:api-server
payload.repo~"api"
payload.repo~/^api/
payload.repo:api*
payload.repo:*
payload.n:7
payload.n=7.0
payload.n>6
payload.n:5..8
payload.deep:*
payload.deep."a b".x:two
payload.deep."a b".0.x:1
payload.ok:true
-payload.nothing:*
-payload.nothing:x
-payload.nothing>5
-task:*
task:""
-task:t-1
refused
REFUSED pink
refused or nothing
(nothing or refused) pink
-(nothing or harold) and pink
"connection refused"
'connection refused'
conn*refused
""".strip().split("\n")

NOT_FOUND = """
agent:pin
agent="p*"
agent:"p*k"
agent~/^in/
-agent:pink
-agent:*
state:cancelled
deliveries>4
idle<=5m
size<256KB
at>-10m
at:14:21
at:14:21..
at<2026-02-06
paused:yes
queues:cod
payload.repo:api
payload.n>7
payload.repo>5
payload.n.x:7
payload.deep."a b".2.x:*
payload.nothing:*
task:t-1
task:*
coding
refused harold
-refused
-(refused)
"refused connection"
""".strip().split("\n")


@pytest.mark.parametrize("text", FOUND)
def test_what_matches(text: str) -> None:
    """Each of these finds the row."""
    assert filter_of(text).matches(ROW)


def test_nothing_typed_finds_everything() -> None:
    """The empty filter knows that it is empty, and lets even unknown rows through."""
    assert filter_of("  ").empty
    assert filter_of("").matches(UNKNOWN)
    assert not filter_of("pink").empty


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_does_not_match(text: str) -> None:
    """None of these finds the row."""
    assert not filter_of(text).matches(ROW)


@pytest.mark.parametrize("text", [text for text in FOUND + NOT_FOUND if ":*" not in text])
def test_what_is_unknown_never_matches(text: str) -> None:
    """A row of which nothing is known is found by no condition and by no opposite of one."""
    assert not filter_of(text).matches(UNKNOWN)


def test_what_is_not_known_can_be_asked_for() -> None:
    """`-agent:*` finds the rows whose agent nobody knows."""
    assert filter_of("-agent:* -idle:*").matches(UNKNOWN)
    assert not filter_of("-agent:*").matches(ROW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agnet:pink", "column 1: rows have no field 'agnet' (did you mean agent? there are agent, error, state,"),
        ("pink http://x", "column 6: rows have no field 'http' (to look for the text, put it in quotes"),
        ("idle>5x", "column 6: '5x' is not a duration: write 30s, 5m, 1h30m or 2d"),
        ("idle:5m", "column 6: a duration is compared by > or <"),
        ("pink idle~5m", "column 6: idle cannot be compared by ~ (it is a duration: > >= < <= :)"),
        ("deliveries>few", "column 12: 'few' is not a number"),
        ("deliveries:5..3", "column 12: the range ends before it begins"),
        ("deliveries:..", "column 12: a range has at least one end"),
        ("size>big", "column 6: 'big' is not a size"),
        ("at>noon", "column 4: 'noon' is not a time"),
        ("at:-5m", "column 4: no time is exactly then"),
        ("state:pnding", "column 7: state is never 'pnding', but pending, cancelled, no consumers"),
        ("state:pending,x", "column 15: state is never 'x'"),
        ("paused:maybe", "column 8: 'maybe' is neither yes nor no"),
        ("agent.name:x", "column 1: agent has no parts"),
        ("payload>5", "column 1: payload as a whole has no order (name a part: payload.size>3)"),
        ("payload.n>x", "column 11: 'x' is not a number"),
        ("agent>5", "column 1: agent cannot be compared by >"),
        ("deliveries>3,4", "column 14: > takes one value"),
        ("agent:", "column 7: a value is missing after :"),
        ("agent:a,", "column 9: a value is missing after ,"),
        ("agent:(a)", "column 7: a value is missing after :"),
        (">5", "column 1: a field is missing before >"),
        ("(pink", "column 1: this parenthesis is never closed"),
        ("pink)", "column 5: this parenthesis was never opened"),
        ("()", "column 2: a condition is missing here"),
        ("pink or", "column 8: a condition is missing here"),
        ("and pink", "column 1: a condition is missing here"),
        ("pink -", "column 7: a condition is missing here"),
        ('agent:"pink', "column 7: this quote is never closed"),
        ('pi"nk', "column 3: a quote inside a word"),
        ("error~/(a/", "column 7: this parenthesis is never closed (character 1 of the pattern)"),
        ("(" * 40 + "a" + ")" * 40, "column 32: more than 30 levels"),
        ("-" * 40 + "a", "column 32: more than 30 levels"),
        ("a " * 300, "column 401: more than 200 conditions"),
        ("a" * 3000, "column 2001: longer than 2000 characters"),
    ],
)
def test_a_slip_is_said_with_its_column(text: str, said: str) -> None:
    """Every error is one line that names the column and what could be written instead."""
    with pytest.raises(FilterError) as caught:
        filter_of(text)
    assert str(caught.value).startswith(f"filter: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("pink agnet:x y", "pink agnet:x y\n     ^^^^^"),
        ("日本 agnet:x", "日本 agnet:x\n     ^^^^^"),
        ("\x1b[31m agnet:x", "␛[31m agnet:x\n      ^^^^^"),
        ("agent:", "agent:\n      ^"),
    ],
)
def test_the_place_is_pointed_at(text: str, pointer: str) -> None:
    """The carets stand under what is meant, whatever the characters before it are."""
    with pytest.raises(FilterError) as caught:
        filter_of(text)
    assert caught.value.pointer == pointer


def test_a_long_filter_is_shown_around_the_place() -> None:
    """Of a filter of a thousand characters a part fits a line, and the carets still point right."""
    with pytest.raises(FilterError) as caught:
        filter_of("a" * 1000 + " agnet:x " + "b" * 900)
    shown, carets = caught.value.pointer.split("\n")
    assert len(shown) <= 80
    assert shown[carets.index("^") :].startswith("agnet:x")
    assert carets.count("^") == 5


# -- what can be known beforehand ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known", "may"),
    [
        ("agent:pink idle>5m", {"agent": "pink"}, True),
        ("agent:pink idle>5m", {"agent": "harold"}, False),
        ("agent:pink or idle>5m", {"agent": "harold"}, True),
        ("-agent:pink idle>5m", {"agent": "pink"}, False),
        ("-(agent:pink or agent:h*)", {"agent": "harold"}, False),
        ("agent:*", {}, True),
        ("-agent:*", {}, True),
        ("refused", {"agent": "pink"}, True),
        ("state:pending refused", {"state": "cancelled"}, False),
        ("payload.repo:api", {"agent": "pink"}, True),
    ],
)
def test_what_cannot_match_is_known_beforehand(text: str, known: dict[str, FieldValue], may: bool) -> None:
    """A lane or an agent that no condition lets through need not be read."""
    assert filter_of(text).may_match(known) is may


@pytest.mark.parametrize(
    ("text", "name", "bounds"),
    [
        ("idle>5m", "idle", Interval(300, open_low=True)),
        ("idle>5m idle<10m", "idle", Interval(300, 600, open_low=True, open_high=True)),
        ("idle>5m or idle>10m", "idle", Interval(300, open_low=True)),
        ("idle>5m or pink", "idle", ALL),
        ("-idle<5m", "idle", Interval(300)),
        ("-idle>5m", "idle", Interval(high=300)),
        ("-idle>=5m", "idle", Interval(high=300, open_high=True)),
        ("-(idle<5m or pink)", "idle", Interval(300)),
        ("at>-5m", "at", Interval(NOW - 5 * MINUTE, open_low=True)),
        ("at:14:20", "at", Interval(NOW - 10 * MINUTE, NOW - 9 * MINUTE, open_high=True)),
        ("deliveries:1,5", "deliveries", Interval(1, 5)),
        ("-deliveries:3..5", "deliveries", ALL),
        ("-idle:*", "idle", ALL),
        ("agent:pink", "agent", ALL),
    ],
)
def test_the_bounds_of_a_field_follow_from_the_filter(text: str, name: str, bounds: Interval) -> None:
    """The engine can be asked for at least five minutes of idleness, or for a stretch of time."""
    assert filter_of(text).bounds(name) == bounds


def test_bounds_that_exclude_each_other_are_empty() -> None:
    """Nothing has to be asked for."""
    assert filter_of("idle>5m idle<1m").bounds("idle").empty
    assert filter_of("-(idle>5m or idle<=5m)").bounds("idle").empty


def test_where_there_is_nothing_a_comparison_is_false_and_its_opposite_true() -> None:
    """A lane in which nothing waits is not one whose oldest waits for five minutes, and that is known."""
    lane = LaneView("shared", Priority.HIGH, "cortex:tasks:high", 0, 0, 0)
    for text, found in (("waiting>5m", False), ("-waiting>5m", True), ("waiting:*", False), ("-backlog>5", True)):
        assert Filter(text, known_rows.LANES, now_ms=NOW).matches(lane) is found


# -- properties ------------------------------------------------------------------------------------------------

texts = st.one_of(st.text(st.sampled_from("ab *?.,:\"'\\/()-=~<>é\n"), max_size=6), st.sampled_from(["or", "Not"]))
names = st.sampled_from(["agent", "error", "payload", "task"])


@st.composite
def values(draw: st.DrawFn, *, wild: bool = True) -> Value:
    text = draw(texts)
    return Value(text, literal=wild and is_special(text))


@st.composite
def compares(draw: st.DrawFn) -> Node:
    op = draw(st.sampled_from([Op.IS, Op.EQUAL, Op.HAS]))
    name = draw(names)
    path = tuple(draw(st.lists(texts, max_size=2))) if name == "payload" else ()
    wanted = tuple(draw(st.lists(values(wild=op is not Op.HAS), min_size=1, max_size=3)))
    return Compare(name, op, wanted, path)


def grown(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Return strategies for what parse makes of parts: no *and* right within an *and*, no *or* within an *or*."""
    parts = st.lists(nodes, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        nodes.map(Not),
        parts.filter(lambda nodes: not any(isinstance(node, And) for node in nodes)).map(And),
        parts.filter(lambda nodes: not any(isinstance(node, Or) for node in nodes)).map(Or),
    )


trees: st.SearchStrategy[Node] = st.recursive(st.one_of(compares(), values().map(Word)), grown, max_leaves=8)

scraps = st.lists(
    st.sampled_from(
        [*FOUND, "(", ")", "-", "or", "and", "not", '"', "'", "/", "~/", "agent", ":", ">", ",", "..", "\\"]
    ),
    max_size=8,
).flatmap(lambda parts: st.sampled_from([" ".join(parts), "".join(parts)]))

rows = st.sampled_from([ROW, UNKNOWN, Row(agent=None), Row(idle=None, payload=b"["), Row(payload=b"[" * 100_000)])


@given(trees)
def test_every_tree_has_a_text_that_reads_as_it(tree: Node) -> None:
    """`describe` and `parse` are inverse, whatever stands in names, paths and values."""
    assert parse(describe(tree)) == tree


@given(scraps)
@example("(path~/usr/*) foo/")
@example("agent~'a*'")
def test_the_canonical_text_means_the_same(text: str) -> None:
    """Whatever can be read is written so that it reads the same, and writing it again changes nothing."""
    try:
        tree = parse(text)
    except FilterError:
        return
    assert parse(describe(tree)) == tree
    assert describe(parse(describe(tree))) == describe(tree)


@given(st.one_of(scraps, st.text(max_size=60)), rows)
@settings(max_examples=300)
def test_nothing_that_is_typed_breaks_anything(text: str, row: Row) -> None:
    """Any text is a filter or an error with a column inside it; a filter answers for every row."""
    found = attempt(text)
    if isinstance(found, FilterError):
        assert 1 <= found.column <= len(text) + 1
        assert all(part.isprintable() for part in found.pointer.split("\n"))
        return
    assert found.matches(row) in {True, False}
    assert filter_of(str(found)).matches(row) == found.matches(row)


@given(
    st.lists(st.sampled_from(FOUND + NOT_FOUND).filter(bool), min_size=1, max_size=3), st.sampled_from([" ", " or "])
)
def test_what_is_pruned_would_not_have_matched(parts: list[str], glue: str) -> None:
    """Whatever part of a row is known, `may_match` says no only for rows that do not match; bounds hold likewise."""
    found = filter_of(glue.join(f"({part})" for part in parts))
    if found.matches(ROW):
        for field in FIELDS.fields:
            value = field.read(ROW)
            assert found.may_match({field.name: value})
            if field.kind in {Kind.NUMBER, Kind.DURATION, Kind.SIZE, Kind.TIME}:
                assert isinstance(value, int | float)
                assert found.bounds(field.name).holds(value)


@given(st.text(max_size=30))
def test_any_value_can_be_written(text: str) -> None:
    """`value_text` writes a value so that it is found, and only it."""
    found = filter_of(f"agent:{value_text(text)}")
    assert found.matches(Row(agent=text))
    assert not found.matches(Row(agent=f"{text}!"))


@pytest.mark.parametrize(
    "fields",
    [
        known_rows.DEAD_LETTERS, known_rows.EVENTS, known_rows.AGENTS, known_rows.LANES, listed.ENTRIES, listed.PENDING,
        listed.TASKS, listed.GROUPS, listed.CONSUMERS, listed.FINDINGS, listed.COMMANDS, listed.SLOW,
        listed.CLIENTS,
    ],
)  # fmt: skip
def test_every_field_of_every_row_is_explained(fields: FieldSet[object]) -> None:
    """Each field of each list has words for people, and a choice has its choices."""
    for field in fields.fields:
        assert field.help
        assert field.help.isprintable()
        assert bool(field.choices) == (field.kind is Kind.CHOICE)
        assert field.name == field.name.lower()
