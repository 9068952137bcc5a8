"""Whatever happens to tasks, in whatever order: a machine that deals deaths, cancels and repeats on a real engine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from observatory.bus import Bus, CancelOutcome, PublishOutcome
from observatory.bus.tasks.delivery import Outcome, Settlement
from observatory.bus.tasks.settler import Settler
from observatory.model.dead_letter import Reason
from observatory.model.task import TaskState
from tests.faults.verdict import History, events_of, verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from observatory.bus.tasks.delivery import Delivery
    from tests.faults.rig import Rig

HANDS = 3
RETRIES = 2
RETRY_S = 0.001
MOMENT_S = 0.003
"""Longer than any delay or short life in this file."""

PRIORITIES = st.sampled_from(["critical", "normal", "low"])
DELAYS = st.sampled_from([0, 0, 0.001])
KEYS = st.sampled_from(["", "", "left", "right"])
LIVES = st.sampled_from([60, 60, 60, 0.001])


ANSWERS = frozenset({"settled", "lost", "again"})
"""Answers to a settlement that comes late; `again` where the attempt has ended in just this way, by its heir's word or
by that of the same hand under a newer token."""


class Hand:
    """A worker that does nothing by itself: the machine moves it step by step.

    The one place here that knows the inside of `Worker`.
    """

    def __init__(self, bus: Bus) -> None:
        self.worker = bus.worker("hand", {}, lease_s=30.0)
        self.held: list[Delivery] = []

    async def take(self, want: int) -> list[str]:
        """Take up to *want* entries and begin with them; return the ids of what was begun."""
        batch = await self.worker.intake.take(want)
        begun = [delivery for delivery, started in batch.entries if started]
        return self._hold(begun) + await self.begin([delivery for delivery, started in batch.entries if not started])

    async def recover(self) -> list[str]:
        """Take over what the dead hold, and begin with it."""
        held = {delivery.key for delivery in self.held}
        return await self.begin(await self.worker.intake.recover(10, held))

    async def begin(self, found: list[Delivery]) -> list[str]:
        """Begin with what did not come by a take."""
        answers = await self.worker.intake.adopt(found) if found else []
        return self._hold([delivery for delivery, runs in zip(found, answers, strict=True) if runs])

    async def settle(self, delivery: Delivery, *, well: bool) -> str:
        """Settle *delivery* as a handler that returns or raises would; return the engine's answer."""
        task, reason = delivery.task, ""
        outcome = Outcome.DONE if well else Outcome.RETRY
        if delivery.poison:
            outcome, reason = Outcome.DEAD, Reason.POISON
        elif not well and task.attempt > RETRIES:
            outcome, reason = Outcome.DEAD, Reason.ERROR
        settlement = Settlement(
            delivery.stream,
            task.entry_id,
            delivery.deliveries,
            outcome,
            task.id,
            task.type,
            task.attempt,
            delay_s=RETRY_S,
            reason=reason,
            ordering_key=task.ordering_key,
        )
        settler = Settler(delivery.partition.link, "workers", self.worker.consumer, lambda *_: None, lambda: None)
        (answer,) = await settler._send([settlement])
        return answer

    def _hold(self, begun: list[Delivery]) -> list[str]:
        self.held += begun
        return [delivery.task.id for delivery in begun]


class Life(RuleBasedStateMachine):
    """The life of tasks at the hands of three workers, a publisher and an operator.

    What is drawn depends on nothing that the engine's clock decides: a rule that finds nothing to do does nothing.
    """

    rig: Rig
    met: ClassVar[Counter[str]]
    """What was met over all lives, so that a machine that idles is found out."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = self.rig.raw
        self.raw.flushall()
        self.loop = asyncio.Runner()
        self.bus = Bus.connect(self.rig.url, name="machine")
        self.run(self.bus.open())
        self.hands = [Hand(self.bus) for _ in range(HANDS)]
        self.run(self.hands[0].take(1))  # As every worker does first: it makes the groups.
        self.gone: list[tuple[Hand, Delivery]] = []
        self.settled: list[tuple[Hand, Delivery, bool]] = []
        self.history = History(disturbed={"@"})
        self.parked = 0

    def run(self, step: Awaitable[Any]) -> Any:
        """Run one step to its end."""

        async def until_done() -> Any:
            return await step

        return self.loop.run(until_done())

    @initialize(tasks=st.lists(st.tuples(PRIORITIES, DELAYS, LIVES, KEYS), min_size=4, max_size=10))
    def begin(self, tasks: list[tuple[str, float, float, str]]) -> None:
        """No life begins with nothing to do."""
        for task in tasks:
            self.publish(*task)
        for hand in self.hands:
            self.history.begun.update(self.run(hand.take(2)))

    @rule(priority=PRIORITIES, delay=DELAYS, ttl=LIVES, key=KEYS)
    def publish(self, priority: str, delay: float, ttl: float, key: str) -> None:
        """Publish a task: now or later, for long or for a moment, in order with others or not."""
        task = f"t-{len(self.history.acknowledged)}"
        answer = self.run(self.bus.publish("x", id=task, priority=priority, delay=delay, ttl=ttl, ordering_key=key))
        if key:
            self.history.keys[task] = key
        assert answer.outcome is (PublishOutcome.DELAYED if delay else PublishOutcome.QUEUED)
        self.history.acknowledged.add(task)

    @rule(which=st.integers(0, 9))
    def publish_again(self, which: int) -> None:
        """Repeat a publish whose answer was lost."""
        for task in self._task(which):
            answer = self.run(self.bus.publish("x", id=task))
            assert answer.outcome is PublishOutcome.DUPLICATE

    @rule(hand=st.integers(0, HANDS - 1), want=st.integers(1, 4))
    def take(self, hand: int, want: int) -> None:
        """Take work."""
        self.history.begun.update(self.run(self.hands[hand].take(want)))
        self.parked += self.raw.hlen("cortex:tasks:parked")

    @rule(hand=st.integers(0, HANDS - 1), well=st.booleans())
    def settle(self, hand: int, well: bool) -> None:
        """Finish or fail the oldest of what a hand holds."""
        if self.hands[hand].held:
            delivery = self.hands[hand].held.pop(0)
            answer = self.run(self.hands[hand].settle(delivery, well=well))
            assert answer in ANSWERS
            # What a hand took over from itself is fenced by the count of deliveries, not by its name.
            assert answer != "settled" or all(delivery.key != other.key for other in self.hands[hand].held)
            self.met[f"a settlement is {answer}"] += 1
            if answer == "settled":
                self.settled.append((self.hands[hand], delivery, well))

    @rule(which=st.integers(0, 9))
    def settle_again(self, which: int) -> None:
        """Repeat one of the last settlements, as if its answer was lost: nothing happens a second time."""
        for hand, delivery, well in self.settled[-1 - which :][:1]:
            answer = self.run(hand.settle(delivery, well=well))
            assert answer in {"again", "lost"}
            self.met[f"a repeated settlement is {answer}"] += 1

    @rule(hand=st.integers(0, HANDS - 1))
    def die(self, hand: int) -> None:
        """Kill a hand; another takes its place under another name, and its leases are over."""
        dead, self.hands[hand] = self.hands[hand], Hand(self.bus)
        self.gone += [(dead, delivery) for delivery in dead.held]
        self._end_leases()

    @rule(hand=st.integers(0, HANDS - 1))
    def freeze(self, hand: int) -> None:
        """Leases of a hand run out while it still believes that it holds its work."""
        self._end_leases(self.hands[hand])

    @rule(well=st.booleans())
    def settle_as_the_dead(self, well: bool) -> None:
        """A settlement of somebody who was taken for dead arrives late."""
        if self.gone:
            hand, delivery = self.gone.pop()
            answer = self.run(hand.settle(delivery, well=well))
            assert answer in ANSWERS
            self.met[f"a settlement of the dead is {answer}"] += 1

    @rule(hand=st.integers(0, HANDS - 1))
    def recover(self, hand: int) -> None:
        """Take over what has no owner."""
        self.history.begun.update(self.run(self.hands[hand].recover()))

    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        """Cancel a task, wherever it is; the answer agrees with what the bus remembers."""
        for task in self._task(which):
            before = self.run(self.bus.record(task))
            outcome = self.run(self.bus.cancel(task))
            after = self.run(self.bus.record(task))
            self.met[f"a cancel is {outcome}"] += 1
            assert (outcome is CancelOutcome.SETTLED) == (before.state in {TaskState.DONE, TaskState.DEAD})
            assert (outcome is CancelOutcome.CANCELLED) == (after.state is TaskState.CANCELLED)
            assert after.cancel_requested or outcome is not CancelOutcome.REQUESTED

    @rule()
    def requeue(self) -> None:
        """Put every dead letter back."""
        letters = self.run(self.bus.dead_letters()).items
        self.run(self.bus.requeue([letter.entry_id for letter in letters]))

    @rule()
    def wait(self) -> None:
        """Let what is delayed become due, and what is short-lived become stale."""
        time.sleep(MOMENT_S)

    def teardown(self) -> None:
        """Drain with one last hand, and ask the judge."""
        last = Hand(self.bus)
        self.hands = []
        breaches: list[str] = []
        try:
            for _ in range(50):
                time.sleep(MOMENT_S)
                self._end_leases()
                self.history.begun.update(self.run(last.recover()) + self.run(last.take(100)))
                while last.held:
                    self.run(last.settle(last.held.pop(), well=True))
                breaches = self.run(verdict(self.bus, self.raw, self.history))
                if not breaches:
                    break
            assert not breaches, "\n".join(breaches)
            self.met["a task is parked"] += self.parked
            self.met.update(event.kind for event in self.run(events_of(self.bus)))
        finally:
            self.run(self.bus.close())
            self.loop.close()

    def _task(self, which: int) -> list[str]:
        """One of the last ten tasks, as a list; empty if there are not so many."""
        return [f"t-{len(self.history.acknowledged) - 1 - which}"] if which < len(self.history.acknowledged) else []

    def _end_leases(self, of: Hand | None = None) -> None:
        """Make what is pending look untouched for a minute: of one hand, or of all that are not among the hands."""
        living = {hand.worker.consumer for hand in self.hands}
        for stream in self.raw.scan_iter("cortex:tasks:*", count=1000, _type="stream"):
            if stream == "cortex:tasks:dlq":
                continue
            for row in self.raw.xpending_range(stream, "workers", "-", "+", 1000):
                owner = row["consumer"]
                if (owner == of.worker.consumer) if of else (owner not in living):
                    self.raw.xclaim(stream, "workers", owner, 0, [row["message_id"]], idle=60_000, justid=True)


MUST_MEET = {
    *("a settlement is settled", "a settlement is lost", "a repeated settlement is again"),
    *("a settlement of the dead is settled", "a settlement of the dead is lost"),
    *("a cancel is cancelled", "a cancel is requested", "a cancel is settled"),
    "a task is parked",
    *("promoted", "redelivered", "retried", "dead_lettered", "requeued", "cancelled", "completed"),
}


def test_every_task_ends_once_whatever_the_order(any_rig: Rig, soak: bool) -> None:
    """Publish, take, settle, fail, cancel, expire, die, recover and requeue in any order end in I1 to I6."""

    class LifeOnRig(Life):
        """The machine on this test's engine."""

        rig = any_rig
        met: ClassVar[Counter[str]] = Counter()

    # One seed draws many lives that are much alike; several draw different ones.
    for number in range(50 if soak else 5):
        run_state_machine_as_test(
            seed(number)(LifeOnRig),
            settings=settings(
                max_examples=100 if soak else 25,
                stateful_step_count=50 if soak else 30,
                deadline=None,
                report_multiple_bugs=False,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert set(LifeOnRig.met) >= MUST_MEET, LifeOnRig.met
