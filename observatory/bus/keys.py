"""Every key name of the bus, in one place, under one prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from observatory.model.errors import UsageError
from observatory.model.task import SHARED, Lane, Priority, is_queue_name

_PRIORITIES = frozenset(map(str, Priority))
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of all keys of one bus, or of one partition of a bus on a cluster.

    Attributes:
        bus: Name of the bus, `cortex` by default.
        partition: Number of the partition; None for a bus of one part, with plain names.
        prefix: First part of every key: the name, or `{<name>:<number>}`, whose braces keep a partition in one slot.

    Raises:
        UsageError: *bus* holds anything but letters, digits, dots, dashes and underscores.
    """

    bus: str = "cortex"
    partition: int | None = None
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.bus):
            raise UsageError(
                f"prefix {self.bus!r} cannot name a bus", "use letters, digits, dots, dashes and underscores"
            )
        tag = self.bus if self.partition is None else f"{{{self.bus}:{self.partition}}}"
        object.__setattr__(self, "prefix", tag)

    @property
    def meta(self) -> str:
        """Hash of what is to be known of a bus on a cluster before its partitions are."""
        return f"{{{self.bus}}}:meta"

    def lane(self, lane: Lane) -> str:
        """Stream of a lane."""
        queue = "" if lane.queue == SHARED else f"{lane.queue}:"
        return f"{self.prefix}:tasks:{queue}{lane.priority}"

    def lane_of(self, stream: str) -> Lane | None:
        """The lane whose stream is *stream*, in any partition of the bus; None if that key is no lane."""
        head = f"{self.prefix}:tasks:"
        if not stream.startswith(head):
            if self.partition is None:
                return None
            number, closed, rest = stream.removeprefix(f"{{{self.bus}:").partition("}")
            if not (closed and number.isdigit() and rest.startswith(":tasks:")):
                return None
            head = f"{{{self.bus}:{number}}}:tasks:"
            if not stream.startswith(head):
                return None
        queue, _, priority = stream[len(head) :].rpartition(":")
        if priority not in _PRIORITIES or (queue and (not is_queue_name(queue) or queue == SHARED)):
            return None
        return Lane(queue or SHARED, Priority(priority))

    @property
    def dead_letters(self) -> str:
        """Stream of dead letters."""
        return f"{self.prefix}:tasks:dlq"

    @property
    def trash(self) -> str:
        """Stream of dead letters that were put away, until they are deleted for good."""
        return f"{self.prefix}:tasks:trash"

    @property
    def jobs(self) -> str:
        """Sorted set of the operators' jobs: id → when it was made, ms of server time."""
        return f"{self.prefix}:jobs"

    def job(self, job: str) -> str:
        """Hash of one job: its plan, and how far it has come."""
        return f"{self.prefix}:job:{job}"

    @property
    def audit(self) -> str:
        """Stream of what operators did: a record before each change, and one after it."""
        return f"{self.prefix}:audit"

    @property
    def delayed(self) -> str:
        """Sorted set of what waits for its time: member → due time in ms."""
        return f"{self.prefix}:tasks:delayed"

    @property
    def bodies(self) -> str:
        """Hash of what waits for its time: member → packed entry."""
        return f"{self.prefix}:tasks:delayed:bodies"

    @property
    def queues(self) -> str:
        """Set of named queues that the bus client has published to or served."""
        return f"{self.prefix}:tasks:queues"

    @property
    def control(self) -> str:
        """Channel of the doorbell that workers listen on."""
        return f"{self.prefix}:control"

    def bell(self, agent: str) -> str:
        """Channel on which it rings when a message was put into the mailbox of *agent*."""
        return f"{self.prefix}:notify:{agent}"

    @property
    def api_keys(self) -> str:
        """Hash of the keys that open gateways: id → what is known of one, never the key itself."""
        return f"{self.prefix}:gateway:keys"

    @property
    def durable(self) -> str:
        """Hash that durable publishing writes to, so that its wait for the disk is a wait for something."""
        return f"{self.prefix}:durable"

    @property
    def paused(self) -> str:
        """Hash of paused lanes: stream → end time in ms of server time, 0 for none."""
        return f"{self.prefix}:tasks:paused"

    @property
    def closed(self) -> str:
        """Hash of lanes that are drained: stream → end time in ms of server time, 0 for none."""
        return f"{self.prefix}:tasks:closed"

    @property
    def retention(self) -> str:
        """Hash of what the bus keeps: bound → value; what it does not say is at its default."""
        return f"{self.prefix}:retention"

    @property
    def history(self) -> str:
        """Hash of what is recorded of the bus: field `id` names its archive."""
        return f"{self.prefix}:history"

    @property
    def recorder(self) -> str:
        """Hash with the lease of the one recorder: whose token, and until when."""
        return f"{self.prefix}:history:recorder"

    @property
    def bookmarks(self) -> str:
        """Hash of the times that somebody wants to find again: id → JSON."""
        return f"{self.prefix}:bookmarks"

    @property
    def notes(self) -> str:
        """Hash of what operators noted about root causes: id of the cause → JSON."""
        return f"{self.prefix}:notes"

    @property
    def heartbeats(self) -> str:
        """Stream of beats."""
        return f"{self.prefix}:heartbeats"

    @property
    def agents(self) -> str:
        """Hash of the last beat by consumer."""
        return f"{self.prefix}:agents"

    @property
    def agents_seen(self) -> str:
        """Sorted set of consumers by time of their last beat."""
        return f"{self.prefix}:agents:seen"

    def record(self, task_id: str) -> str:
        """Hash of what the bus remembers of a task."""
        return f"{self.prefix}:task:{task_id}"

    def events(self, day: str) -> str:
        """Stream of the facts of one UTC day, `YYYY-MM-DD`."""
        return f"{self.prefix}:events:{day}"

    def density(self, day: str) -> str:
        """Hash of counts by `<minute since the epoch>:<kind>` of one UTC day."""
        return f"{self.prefix}:density:{day}"

    def mailbox(self, agent: str) -> str:
        """Stream of the messages to one agent."""
        return f"{self.prefix}:messages:{agent}"

    @property
    def broadcasts(self) -> str:
        """Stream of the messages to all agents."""
        return f"{self.prefix}:events:global"

    @property
    def cursors(self) -> str:
        """Hash of the last broadcast that each agent has handled: agent → entry id."""
        return f"{self.prefix}:cursors"

    @property
    def sides(self) -> str:
        """Hash of the agents of an older system: agent → whether it has moved to the bus."""
        return f"{self.prefix}:sides"

    def journal(self, name: str) -> str:
        """Stream that the lines of old files are moved into; what is remembered of it stands in keys below it."""
        return f"{self.prefix}:journal:{name}"

    def replies(self, boot: str) -> str:
        """Stream of the replies to the requests of one process."""
        return f"{self.prefix}:reply:{boot}"


def day_of(ms: int) -> str:
    """UTC day of *ms* since the epoch, as it stands in key names."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def shifted(day: str, days: int) -> str:
    """The UTC day that lies *days* after *day*; before it, if negative."""
    return (datetime.fromisoformat(day) + timedelta(days=days)).date().isoformat()
