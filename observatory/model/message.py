"""Messages: notes to one agent's mailbox, broadcasts to all, and replies to requests.

They stand on the wire as tasks do, under the same names, and are read with the same tolerance: whatever a foreign
agent wrote becomes a message, with what had to be forgiven in its notes. Reading never raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from observatory.model.task import DEFAULT_TTL_S, EntryId, Lane, Priority, Task
from observatory.model.wire import WIRE_VERSION, Fields, foreign_id, read_entry, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TASKS_ONLY = frozenset({"priority", "attempt", "arrived", "trace", "role"})
"""Names that mean something in a lane and nothing in a mailbox; an entry that has them keeps them as they came."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that is about to be sent: to one agent, or, if *to* is empty, to all.

    Attributes:
        payload: What it says, as bytes that the bus never looks into.
        id: Identity chosen by the sender *before* the first send, so that a repeated send is recognised.
        to: Name of the agent; empty for a broadcast.
        type: What kind of message it is; may be empty.
        sender: Name of the agent or operator who sends it.
        content_type: MIME type of the payload; empty means unknown.
        created_ms: Wall clock of the sender in ms since the epoch; shown, never used to decide.
        ttl_s: Seconds from arrival after which nobody needs to read it any more; a broadcast has none.
        correlation_id: Ties a family of tasks and messages together.
        reply_to: Where an answer is expected.
    """

    payload: bytes
    id: str
    to: str = ""
    type: str = ""
    sender: str = ""
    content_type: str = ""
    created_ms: int = 0
    ttl_s: float = DEFAULT_TTL_S
    correlation_id: str = ""
    reply_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What messages to one agent and broadcasts to all have in common, as it was read.

    Attributes:
        id: Its id; `x-<agent or all>-<entry id>` where the sender gave none.
        type: What kind of message it is; may be empty.
        payload: Bytes as they came.
        entry_id: Its identity in the stream.
        sender: Who sent it, if said.
        content_type: MIME type, if said.
        created_ms: When the sender says it made it, ms since the epoch; arrival where absent or absurd.
        arrived_ms: When the bus received it, ms of server time.
        correlation_id: Ties a family of tasks and messages together.
        reply_to: Where an answer is expected, if anywhere.
        extra: Unknown fields, verbatim.
        notes: What the tolerant reader had to forgive, in words.
        fields: The entry exactly as it stands in the stream.
    """

    id: str
    type: str
    payload: bytes
    entry_id: str
    sender: str = ""
    content_type: str = ""
    created_ms: int = 0
    arrived_ms: int = 0
    correlation_id: str = ""
    reply_to: str = ""
    extra: Mapping[bytes, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fields: Fields = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast(Note):
    """A message to all agents, as it was read."""

    @classmethod
    def read(cls, entry_id: str, fields: Iterable[tuple[bytes, bytes]]) -> Self:
        """Read one entry of the broadcast stream, whoever wrote it."""
        return cls(**_said("all", entry_id, tuple(fields))[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Note):
    """A message in one agent's mailbox, as it was read.

    Attributes:
        to: The agent in whose mailbox it stands, whatever the entry says.
        ttl_s: Seconds from arrival after which it has expired.
    """

    to: str
    ttl_s: float = DEFAULT_TTL_S

    @classmethod
    def read(
        cls,
        agent: str,
        entry_id: str,
        fields: Iterable[tuple[bytes, bytes]],
        **more: Any,  # noqa: ANN401 - whatever a subclass has
    ) -> Self:
        """Read one entry of the mailbox of *agent*, whoever wrote it.

        Args:
            agent: Whose mailbox it is.
            entry_id: Its stream id; its milliseconds are the arrival.
            fields: Names and values as bytes, in any order, names in any case, possibly repeated.
            more: What a subclass knows besides.
        """
        said, task = _said(agent, entry_id, tuple(fields))
        return cls(**said, to=agent, ttl_s=task.ttl_s, **more)

    def is_expired(self, now_ms: float) -> bool:
        """Say whether its time to live has run out at *now_ms* of server time."""
        return now_ms > self.arrived_ms + self.ttl_s * 1000


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the broadcasts that a reader can no longer be shown: it was away, or too slow.

    How many broadcasts stood there is unknown; where only the last one that it had read was removed, it is none.

    Attributes:
        after: The last entry that the reader had handled.
        before: The oldest entry there is now; reading goes on with it. Empty if there is none.
    """

    after: str
    before: str

    @property
    def since_ms(self) -> int | None:
        """Begin of the stretch, ms of server time; None if the reader had handled nothing yet."""
        return EntryId.parse(self.after).ms or None

    @property
    def until_ms(self) -> int | None:
        """End of the stretch, ms of server time; None if it is unknown, because nothing came since."""
        return EntryId.parse(self.before).ms if self.before else None


class ReplyStatus(StrEnum):
    """How the task behind a request ended."""

    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request.

    Attributes:
        task_id: The task that answered it.
        payload: What the handler returned, as bytes.
        content_type: MIME type of the payload; empty means unknown.
        correlation_id: That of the request.
        entry_id: Its entry in the stream of replies.
        status: How the task ended; a word of a later version is kept as it is.
        error: Why it did not end well; empty if it did. Foreign text.
    """

    task_id: str
    payload: bytes = b""
    content_type: str = ""
    correlation_id: str = ""
    entry_id: str = ""
    status: str = ReplyStatus.DONE
    error: str = ""


def encode_message(message: NewMessage) -> list[bytes]:
    """Return the canonical fields of *message* as a flat list of names and values, in the one canonical order.

    Every one is written, empty ones too: entries with equal field sets share them within a node of the stream.
    """
    ttl = f"{message.ttl_s:.3f}".rstrip("0").rstrip(".") if message.to else ""
    said: dict[str, str | bytes] = {
        "id": message.id,
        "from": message.sender,
        "to": message.to,
        "type": message.type,
        "payload": message.payload,
        "content_type": message.content_type,
        "created_at": rfc3339(message.created_ms) if message.created_ms else "",
        "ttl": ttl,
        "correlation_id": message.correlation_id,
        "reply_to": message.reply_to,
    }
    parts: list[str | bytes] = [part for pair in said.items() for part in pair]
    flat = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape") for part in parts]
    return [*flat, b"v", WIRE_VERSION]


def read_reply(entry_id: str, fields: Iterable[tuple[bytes, bytes]]) -> Reply:
    """Read one entry of a stream of replies; what nothing says is empty, and no status means done."""
    said = {name.decode("utf-8", "replace").lower(): value for name, value in fields}
    words = {name: said.get(name, b"").decode("utf-8", "surrogateescape") for name in _REPLY_WORDS}
    return Reply(
        task_id=words["task"],
        payload=said.get("payload", b""),
        content_type=words["content_type"],
        correlation_id=words["correlation_id"],
        entry_id=entry_id,
        status=words["status"] or ReplyStatus.DONE,
        error=words["error"],
    )


_REPLY_WORDS = ("correlation_id", "task", "status", "content_type", "error")


def _said(whose: str, entry_id: str, raw: Fields) -> tuple[dict[str, Any], Task]:
    """Read an entry as a task in a lane of *whose*, and return what of it a message has."""
    lane = Lane(f"@{whose}", Priority.NORMAL)
    beside = {name: value for name, value in raw if name.decode("utf-8", "replace").lower() in _TASKS_ONLY}
    own = tuple(pair for pair in raw if pair[0] not in beside)
    task = read_entry(lane, entry_id, own)
    notes: tuple[str, ...] = ()
    if not isinstance(task, Task):
        notes = (task.why,)
        # With a payload, even an empty one, every entry can be read.
        task = read_entry(lane, entry_id, (*own, (b"payload", b"")))
        assert isinstance(task, Task)  # noqa: S101 - by the contract of the reader
    said = {
        "id": f"x-{whose}-{entry_id}" if task.id == foreign_id(lane, entry_id) else task.id,
        "type": task.type,
        "payload": task.payload,
        "entry_id": entry_id,
        "sender": task.sender,
        "content_type": task.content_type,
        "created_ms": task.created_ms,
        "arrived_ms": EntryId.parse(entry_id).ms,
        "correlation_id": task.correlation_id,
        "reply_to": task.reply_to,
        "extra": {**task.extra, **beside},
        "notes": (*task.notes, *notes),
        "fields": raw,
    }
    return said, task
