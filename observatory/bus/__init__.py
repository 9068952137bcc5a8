"""The complete bus client, usable alone as a library, and the only room that speaks Redis.

Every change of state is one Lua script from `lua/` that also appends its event and counts it, so a task, its
record and its event move as one atom in one round trip. Start at `Bus` in `client`; key names live in `keys`.
"""

from observatory.bus.client import Bus, CancelOutcome
from observatory.bus.delivery import TaskContext
from observatory.bus.handlers import DoNotRetry, Handling, Snooze
from observatory.bus.letters import Requeued, RequeueOutcome
from observatory.bus.observe import Cursor, Observation
from observatory.bus.publisher import Published, PublishOutcome
from observatory.bus.worker import Worker, WorkerStats

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
