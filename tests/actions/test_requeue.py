"""Requeueing dead letters: plan, then execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from observatory.actions import BusActions
from observatory.model.cause import DEFAULT_KEY, Causes, KeyPart
from observatory.model.errors import UsageError
from observatory.model.plan import RequeueDeadLetters, Selector
from tests.actions.streams import entries

if TYPE_CHECKING:
    import redis

    from observatory.bus import Bus

DLQ = "cortex:tasks:dlq"


def bury(plain: redis.Redis, task: str, *, source: str = "cortex:tasks:high", **fields: str) -> str:
    """Add a dead letter as a foreign agent would, and return its entry id."""
    entry = {"id": task, "type": "deploy", "reason": "error", "last_error": "boom", "source": source, **fields}
    ident: Any = plain.xadd(DLQ, {name: value for name, value in entry.items() if value})
    return str(ident.decode())


async def test_a_plan_names_every_letter_and_moves_none(bus: Bus, plain: redis.Redis) -> None:
    """Each item says where it goes and what it is; the dead letters stay where they are."""
    first, second = bury(plain, "t-1"), bury(plain, "t-2", source="cortex:tasks:coding:low")
    plan = await BusActions(bus).plan(RequeueDeadLetters(Selector((first, second, first))))
    assert [(item.id, item.source, item.target) for item in plan.items] == [
        (first, DLQ, "cortex:tasks:high"),
        (second, DLQ, "cortex:tasks:coding:low"),
    ]
    assert plan.items[0].label == "deploy t-1 error: boom"
    assert plain.xlen(DLQ) == 2


async def test_executing_moves_exactly_what_was_planned(bus: Bus, plain: redis.Redis) -> None:
    """What was planned is in its lane with its own id; what died since stays dead."""
    first = bury(plain, "t-1")
    actions = BusActions(bus)
    plan = await actions.plan(RequeueDeadLetters(Selector((first,))))
    later = bury(plain, "t-2")
    report = await actions.execute(plan)
    ((entry_id, fields),) = entries(plain, "cortex:tasks:high")
    assert (report.done, report.entries, report.skipped) == ((first,), (entry_id,), ())
    assert fields[b"id"] == b"t-1"
    assert [ident for ident, _ in entries(plain, DLQ)] == [later]


async def test_a_letter_that_somebody_took_meanwhile_is_reported(bus: Bus, plain: redis.Redis) -> None:
    """What is gone when the plan runs is skipped with why; the rest is done, once, however often the plan runs."""
    first, second = bury(plain, "t-1"), bury(plain, "t-2")
    actions = BusActions(bus)
    plan = await actions.plan(RequeueDeadLetters(Selector((first, second))))
    plain.xdel(DLQ, first)
    report = await actions.execute(plan)
    assert report.done == (second,)
    assert [(item.id, "no longer" in item.why) for item in report.skipped] == [(first, True)]
    again = await actions.execute(plan)
    assert (again.done, again.skipped) == (report.done, report.skipped)
    assert plain.xlen("cortex:tasks:high") == 1


async def test_what_cannot_go_back_is_skipped_with_why(bus: Bus, plain: redis.Redis) -> None:
    """A letter that is gone, and letters that name no lane of this bus, are in the plan as skipped."""
    nowhere, elsewhere = bury(plain, "t-1", source=""), bury(plain, "t-2", source="other:list")
    plan = await BusActions(bus).plan(RequeueDeadLetters(Selector(("1-1", nowhere, elsewhere))))
    assert plan.items == ()
    assert [item.id for item in plan.skipped] == ["1-1", nowhere, elsewhere]
    assert "no longer" in plan.skipped[0].why
    assert "which lane" in plan.skipped[1].why
    assert (await BusActions(bus).execute(plan)).done == ()


async def test_hostile_text_in_a_letter_is_harmless_in_the_plan(bus: Bus, plain: redis.Redis) -> None:
    """Escape sequences in type and error come out as printable text, of bounded length."""
    ident = bury(plain, "t-1", type="\x1b[2Jx", last_error="\x9b31m" + "y" * 5000)
    plan = await BusActions(bus).plan(RequeueDeadLetters(Selector((ident,))))
    assert plan.items[0].label.isprintable()
    assert len(plan.items[0].label) <= 120


@pytest.mark.parametrize("ids", [(), ("nonsense",), ("\x1b[2J",), ("1-2-3",)])
async def test_ids_that_are_none_are_refused(bus: Bus, ids: tuple[str, ...]) -> None:
    """The error names the field and what an id looks like."""
    with pytest.raises(UsageError, match="entry_ids") as caught:
        await BusActions(bus).plan(RequeueDeadLetters(Selector(ids)))
    assert str(caught.value).isprintable()


async def test_a_cause_is_requeued_by_the_key_that_it_was_counted_by(bus: Bus, plain: redis.Redis) -> None:
    """The usual key tells errors apart; by reason alone all of them are one cause."""
    for number in range(3):
        bury(plain, f"t-{number}", last_error=f"TimeoutError: no answer from 10.0.0.{number}")
    other = bury(plain, "t-9", last_error="ValueError: no such field")
    letters = (await bus.dead_letters()).items
    for key, count in ((DEFAULT_KEY, 3), ((KeyPart.REASON,), 4)):
        causes = Causes(key)
        causes.add(letters)
        (cause, *_) = causes.table().causes
        select = Selector(cause=cause.id, key="" if key == DEFAULT_KEY else ",".join(key))
        plan = await BusActions(bus).plan(RequeueDeadLetters(select))
        assert len(plan.items) == count
        assert (other in {item.id for item in plan.items}) is (count == 4)
    with pytest.raises(UsageError, match="group-by"):
        await BusActions(bus).plan(RequeueDeadLetters(Selector(cause="x", key="colour")))
