"""The complete bus client, usable alone as a library, and the only room that speaks Redis.

Every change of state is one Lua script from `lua/` that also appends its event and counts it, so a task, its
record and its event move as one atom in one round trip. Start at `Bus` in `client`; key names live in `keys`.

Rooms: `links` (the way to the engine), `tasks` (publish, take, settle), `talk` (mail, broadcasts, requests),
`payloads` (blobs), `reads` (looking without touching), `moves` (what operators change), `care` (audit, doctor, ACL).
"""

from observatory.bus.client import Bus, CancelOutcome
from observatory.bus.moves.requeued import Requeued, RequeueOutcome
from observatory.bus.reads.observe import Cursor, Observation
from observatory.bus.tasks.delivery import TaskContext
from observatory.bus.tasks.handlers import DoNotRetry, Handling, Snooze
from observatory.bus.tasks.publisher import Published, PublishOutcome
from observatory.bus.tasks.worker import Worker, WorkerStats

__all__ = [
    "Bus",
    "CancelOutcome",
    "Cursor",
    "DoNotRetry",
    "Handling",
    "Observation",
    "PublishOutcome",
    "Published",
    "RequeueOutcome",
    "Requeued",
    "Snooze",
    "TaskContext",
    "Worker",
    "WorkerStats",
]
