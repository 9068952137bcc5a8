"""`Journal`: jobs as the bus remembers them, and the audit of what operators did."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from observatory.bus.moves.steps import KEPT_S, Moved
from observatory.model.plan.document import plan_document, read_plan
from observatory.model.plan.jobs import JobState, JobView
from observatory.model.plan.record import AuditRecord, Phase
from observatory.model.wire import pairs

if TYPE_CHECKING:
    from observatory.bus.links.link import Reply
    from observatory.bus.partitions import Partitions
    from observatory.model.plan import Plan

LEASE_MS: Final = 10_000
"""Milliseconds after which a job whose executor says nothing may be taken over."""

MOST_JOBS: Final = 1_000
"""Jobs that are remembered."""

MOST_RECORDS: Final = 100_000
"""Records of the audit that are kept, at least."""

_FIELDS: Final = (
    "verb", "asked", "who", "state", "total", "at", "done", "skipped", "rate", "why", "place", "waits", "holder",
    "until", "created", "ended", "undoes", "undone",
)  # fmt: skip


class Hold(StrEnum):
    """What the attempt to execute a job came to."""

    HELD = "held"
    QUEUED = "queued"
    """Another job works on the same place."""
    BUSY = "busy"
    """Somebody executes it already."""
    OVER = "over"
    UNKNOWN = "unknown"
    """There is no such job."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The answer to whoever wants to execute a job.

    Attributes:
        hold: What it came to.
        other: The job, the executor or the state that stands against it.
        token: Fencing token; 0 unless held.
        at: Items that were passed before.
        done: Items that were changed before.
        skipped: Items that were left alone before.
        rate: Items a second; None for any number.
    """

    hold: Hold
    other: str = ""
    token: int = 0
    at: int = 0
    done: int = 0
    skipped: int = 0
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """Jobs and audit of one bus; they live in its first partition.

    Every method raises `BusError` when the engine refuses, and `BusUnreachableError` when it does not answer.

    Attributes:
        partitions: The parts of the bus.
    """

    partitions: Partitions

    async def open(self, plan: Plan, who: str, place: str) -> None:
        """Write down that *plan* is about to be executed; a second time changes nothing."""
        blob = zlib.compress(json.dumps(plan_document(plan)).encode("utf-8", "surrogateescape"))
        said: dict[str, str | int | bytes] = {
            "plan": blob, "verb": plan.verb, "asked": plan.asked, "who": who, "state": str(JobState.QUEUED),
            "total": len(plan.items), "rate": _written(plan.pace.rate), "place": place, "undoes": plan.undoes,
        }  # fmt: skip
        flat = [part for name, value in said.items() for part in (name, value)]
        await self._call("job_open", plan.id, KEPT_S * 1000, MOST_JOBS, *flat)

    async def hold(self, job: str, holder: str) -> Holding:
        """Become the one executor of *job*, and keep others out for `LEASE_MS`."""
        word, *said = await self._call("job_hold", job, holder, LEASE_MS)
        if word != b"held":
            return Holding(Hold(word.decode()), said[0].decode())
        token, at, done, skipped = map(int, said[:4])
        return Holding(Hold.HELD, "", token, at, done, skipped, _rate(said[4]))

    async def note(
        self, job: str, token: int, at: int, done: int, skipped: int, *, end: JobState | None = None, why: str = ""
    ) -> tuple[str, float | None]:
        """Write down how far *job* has come; returns its state, or `fenced`, and the rate it may have from now on."""
        state, rate = await self._call(
            "job_note", job, token, LEASE_MS, at, done, skipped, str(end or ""), why, KEPT_S * 1000
        )
        return state.decode(), _rate(rate)

    async def steer(self, job: str, wish: str, who: str, value: str = "") -> tuple[bool, str]:
        """Pause or cancel a job, or change its rate; returns whether it was not too late, and its state."""
        done, state = await self._call("job_wish", job, wish, value, who)
        return bool(done), state.decode()

    async def plan(self, job: str) -> Plan | None:
        """Return the plan of *job*; None if it is not remembered."""
        seat = self.partitions.seat
        blob = await seat.link.command("HGET", seat.keys.job(job), "plan")
        return None if blob is None else read_plan(json.loads(zlib.decompress(blob)))

    async def moved(self, job: str) -> dict[str, Moved]:
        """Return what became of the items of *job* so far, in all partitions, by item."""
        found: dict[str, Moved] = {}
        for part in self.partitions:
            for item, outcome, entry in await part.link.call("job_done", (job,)):
                name = item.decode("utf-8", "surrogateescape")
                said = entry.decode("utf-8", "surrogateescape")
                found[name] = Moved(name, outcome.decode(), said)
        return found

    async def jobs(self, limit: int = 50) -> tuple[JobView, ...]:
        """Return the newest jobs, newest first."""
        now, *rows = await self._call("jobs", limit, len(_FIELDS), *_FIELDS)
        return tuple(_job(int(now), ident.decode(), values) for ident, values in rows)

    async def write(self, record: AuditRecord) -> str:
        """Append a record to the audit and return its id."""
        seat = self.partitions.seat
        said: dict[str, str | int] = {
            "phase": str(record.phase), "op": record.op, "who": record.who, "context": record.context,
            "verb": record.verb, "asked": record.asked, "count": record.count, "digest": record.digest,
            "ids": " ".join(record.ids), "reason": record.reason, "outcome": record.outcome, "done": record.done,
            "skipped": record.skipped, "took_ms": "" if record.took_ms is None else record.took_ms, "why": record.why,
        }  # fmt: skip
        flat = [part for name, value in said.items() for part in (name, value)]
        entry = await seat.link.command("XADD", seat.keys.audit, "MAXLEN", "~", MOST_RECORDS, "*", *flat)
        return str(entry.decode())

    async def records(self, limit: int = 100, *, before: str = "") -> tuple[AuditRecord, ...]:
        """Return records of the audit, newest first, those below the id *before* if it is given."""
        seat = self.partitions.seat
        end = f"({before}" if before else "+"
        rows = await seat.link.command("XREVRANGE", seat.keys.audit, end, "-", "COUNT", limit)
        return tuple(_record(ident.decode(), flat) for ident, flat in rows)

    async def _call(self, name: str, *args: Any) -> Reply:  # noqa: ANN401 - what a script takes
        return await self.partitions.seat.link.call(name, args)


def _job(now: int, ident: str, values: list[bytes | None]) -> JobView:
    said = {name: _text(value) for name, value in zip(_FIELDS, values, strict=True)}
    state = JobState(said["state"])
    return JobView(
        id=ident,
        verb=said["verb"],
        asked=said["asked"],
        who=said["who"],
        state=state,
        total=int(said["total"]),
        at=int(said["at"]),
        done=int(said["done"]),
        skipped=int(said["skipped"]),
        rate=_rate(values[_FIELDS.index("rate")] or b""),
        why=said["why"],
        place=said["place"],
        waits_for=said["waits"] if state is JobState.QUEUED else "",
        holder=said["holder"],
        abandoned=state in {JobState.RUNNING, JobState.QUEUED} and int(said["until"] or 0) < now,
        created_ms=int(said["created"]),
        ended_ms=int(said["ended"]) if said["ended"] else None,
        undoes=said["undoes"],
        undone=said["undone"],
    )


def _record(ident: str, flat: list[bytes]) -> AuditRecord:
    said = {_text(name): _text(value) for name, value in pairs(flat)}
    word = said.get("phase", "")
    return AuditRecord(
        id=ident,
        at_ms=int(ident.partition("-")[0]),
        phase=Phase(word) if word in set(Phase) else Phase.RESULT,
        op=said.get("op", ""),
        who=said.get("who", ""),
        context=said.get("context", ""),
        verb=said.get("verb", ""),
        asked=said.get("asked", ""),
        count=_number(said.get("count", "")) or 0,
        digest=said.get("digest", ""),
        ids=tuple(said.get("ids", "").split()),
        reason=said.get("reason", ""),
        outcome=said.get("outcome", ""),
        done=_number(said.get("done", "")) or 0,
        skipped=_number(said.get("skipped", "")) or 0,
        took_ms=_number(said.get("took_ms", "")),
        why=said.get("why", ""),
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "surrogateescape")


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _rate(word: bytes) -> float | None:
    return float(word) if word else None


def _written(rate: float | None) -> str:
    return "" if rate is None else f"{rate:g}"
