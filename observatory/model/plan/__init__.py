"""Every change as data: what is asked, the plan that freezes it, the report of what was done, and what is kept of both.

Nothing here does anything: plans are made and carried out in `actions`, and what they leave behind is written by
`bus.moves`.
"""

from observatory.model.plan.consent import Consent, Demand, Level, demand, missing
from observatory.model.plan.jobs import JobState, JobView
from observatory.model.plan.pace import Pace
from observatory.model.plan.plan import Plan, PlannedItem, Report, Reversal, SkippedItem
from observatory.model.plan.record import AuditRecord, Phase, SentCall
from observatory.model.plan.requests import (
    BuryPending,
    CancelTasks,
    ClaimPending,
    Counts,
    DrainLanes,
    PauseLanes,
    PurgeTrash,
    RemoveConsumers,
    ReopenLanes,
    Request,
    RequeueDeadLetters,
    ResendLetter,
    ResetGroup,
    RestoreLetters,
    ResumeLanes,
    Selector,
    SendTask,
    SetBounds,
    TellAgents,
    TrashLetters,
    UndoJob,
)

__all__ = [
    "AuditRecord",
    "BuryPending",
    "CancelTasks",
    "ClaimPending",
    "Consent",
    "Counts",
    "Demand",
    "DrainLanes",
    "JobState",
    "JobView",
    "Level",
    "Pace",
    "PauseLanes",
    "Phase",
    "Plan",
    "PlannedItem",
    "PurgeTrash",
    "RemoveConsumers",
    "ReopenLanes",
    "Report",
    "Request",
    "RequeueDeadLetters",
    "ResendLetter",
    "ResetGroup",
    "RestoreLetters",
    "ResumeLanes",
    "Reversal",
    "Selector",
    "SendTask",
    "SentCall",
    "SetBounds",
    "SkippedItem",
    "TellAgents",
    "TrashLetters",
    "UndoJob",
    "demand",
    "missing",
]
