"""A snapshot as plain data, for `status --json`."""

from __future__ import annotations

import json
import math

from observatory.live.document import snapshot_document
from observatory.model.agent import AgentState
from observatory.model.snapshot import (
    AgentView,
    DeadLetterSummary,
    GroupView,
    LaneState,
    LaneView,
    LinkState,
    LinkView,
    Origin,
    Snapshot,
)
from observatory.model.task import Priority
from tests.live.observations import T0

LANE = LaneView(
    "shared", Priority.HIGH, "cortex:tasks:high", 4, 3, 2, (GroupView("workers", None, 2, 1, "1-1"),),
    oldest_waiting_s=1.23456, in_rate=math.nan, out_rate=None, trend=(math.nan,), state=LaneState.OK,
)  # fmt: skip

SNAPSHOT = Snapshot(
    at_ms=T0,
    origin=Origin.LIVE,
    link=LinkView(LinkState.READY, T0, url="redis://:***@h"),
    lanes=(LANE,),
    agents=(AgentView("pink", AgentState.ALIVE, 1.5, task="t"), AgentView("go\x1b[2J\udcff", None, None)),
    dead_letters=DeadLetterSummary(2, (("error", 2),), 2),
    delayed=None,
)


def strict(document: object) -> object:
    """Pass through JSON as a strict parser in another language reads it."""
    return json.loads(json.dumps(document, allow_nan=False))


def test_the_document_has_the_promised_shape() -> None:
    """Every field that the issue names is there, unknown is null, times are RFC 3339 in UTC."""
    document = snapshot_document(SNAPSHOT)
    assert strict(document) == document
    assert json.dumps(document, ensure_ascii=False).encode("utf-8")
    assert document["at"] == "2026-02-02T02:40:00.000Z"
    assert document["link"] == {"state": "ready", "since": document["at"], "reason": "", "url": "redis://:***@h"}
    (lane,) = document["lanes"]
    assert lane["groups"] == [{"name": "workers", "lag": None, "pending": 2, "consumers": 1}]
    assert (lane["queue"], lane["priority"], lane["stream"]) == ("shared", "high", "cortex:tasks:high")
    assert (lane["length"], lane["backlog"], lane["state"], lane["problem"]) == (4, 3, "ok", "")
    assert (lane["oldest_waiting_s"], lane["oldest_pending_s"]) == (1.235, None)
    assert (lane["in_rate"], lane["out_rate"]) == (None, None)
    pink, reader = document["agents"]
    assert (pink["name"], pink["state"], pink["task"]) == ("pink", "alive", "t")
    assert pink["last_seen"] == "2026-02-02T02:39:58.500Z"
    assert (reader["name"], reader["state"], reader["last_seen"]) == ("go\x1b[2J\N{REPLACEMENT CHARACTER}", None, None)
    assert document["dead_letters"]["total"] == 2
    assert document["dead_letters"]["reasons"] == {"error": 2}
    assert document["delayed"] is None
    assert document["engine"]["warnings"] == []


def test_before_the_first_data_there_is_no_time() -> None:
    """A snapshot that knows nothing says null, not 1970."""
    empty = Snapshot(0, Origin.LIVE, LinkView(LinkState.LOST, T0, "refused"))
    assert snapshot_document(empty)["at"] is None
