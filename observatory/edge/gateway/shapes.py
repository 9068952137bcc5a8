"""What is sent and answered, as it stands in JSON. Names are camelCase there; nothing that is unknown is let in."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from observatory.bus.tasks.publisher import DEDUPE_TTL_S
from observatory.model.task import DEFAULT_TTL_S, MAX_TTL_S, SHARED, Priority
from observatory.model.ticket import TicketKind, TicketStatus

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
QUEUE = r"^@?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
IDENT = r"^[!-~]{1,200}$"
"""Ids of messages and tasks as they may be chosen over the network: printable ASCII without blanks."""

WORD = r"^[^\x00-\x1f\x7f]*$"
BASE64 = r"^[A-Za-z0-9+/]*={0,2}$"
RECEIPT = r"^[!-~]{1,1000}$"

Sender: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$")]
AgentName: TypeAlias = Annotated[str, Field(pattern=NAME, description="Name of an agent.", examples=["pink"])]
Ident: TypeAlias = Annotated[str, Field(pattern=IDENT)]
Word: TypeAlias = Annotated[str, Field(pattern=WORD, max_length=128)]
Ttl: TypeAlias = Annotated[float, Field(gt=0, le=MAX_TTL_S, description="Seconds from arrival until it is stale.")]


class Shape(BaseModel):
    """What all of them have in common."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", strict=True
    )


class Payload(Shape):
    """What something says: any JSON, or bytes."""

    payload: JsonValue = Field(default=None, description="Text as it is; anything else is kept as JSON.")
    payload_base64: Annotated[str, Field(pattern=BASE64)] | None = Field(
        default=None, description="Bytes instead of *payload*."
    )
    content_type: Word = Field(default="", description="MIME type of the bytes in *payloadBase64*.")


class Send(Payload):
    """A message to one agent."""

    type: Word = ""
    ttl: Ttl = float(DEFAULT_TTL_S)
    id: Ident | None = Field(default=None, description="Id of the message; sending it again is answered, not repeated.")
    sender: Sender | None = Field(default=None, alias="from", description="Who sends; by its key where it is left out.")
    correlation_id: Word = ""
    reply_to: Word = ""


class SendTo(Send):
    """A message of a batch."""

    to: AgentName


class SendMany(Shape):
    """A batch of messages; each is accepted or refused by itself."""

    messages: Annotated[list[SendTo], Field(min_length=1, max_length=500)]


class Publish(Payload):
    """A task."""

    type: Annotated[str, Field(pattern=WORD, min_length=1, max_length=128)]
    queue: Annotated[str, Field(pattern=QUEUE)] = SHARED
    priority: Annotated[Priority, Field(strict=False)] = Priority.NORMAL
    ttl: Ttl = float(DEFAULT_TTL_S)
    delay: Annotated[float, Field(ge=0, le=MAX_TTL_S, description="Seconds until it is due.")] = 0.0
    id: Ident | None = Field(default=None, description="Id of the task; publishing it again is answered, not repeated.")
    sender: Sender | None = Field(default=None, alias="from", description="Who sends; by its key where it is left out.")
    correlation_id: Word = ""
    reply_to: Word = ""
    ordering_key: Word = ""
    dedupe: Word = Field(default="", description="While it is remembered, publishing under it again is a duplicate.")
    dedupe_ttl: Ttl = DEDUPE_TTL_S
    durable: bool = Field(default=False, description="Answer only when it is on disk and on every replica.")


class PublishMany(Shape):
    """A batch of tasks; each is accepted or refused by itself."""

    tasks: Annotated[list[Publish], Field(min_length=1, max_length=500)]


class Tell(Payload):
    """A broadcast to all agents."""

    type: Word = ""
    id: Ident | None = None
    correlation_id: Word = ""


class Beat(Shape):
    """A sign of life of an agent."""

    status: Word = "idle"
    consumer: Word = Field(default="", description="The process, `<agent>@…`; the agent's name if empty.")
    task: Word = ""
    load: Annotated[float, Field(ge=0, le=1)] | None = None
    interval: Annotated[float, Field(gt=0, le=86_400, description="Seconds until its next beat.")] = 10.0
    capabilities: Annotated[list[Word], Field(max_length=100)] = []
    version: Word = ""


class Acknowledge(Shape):
    """Messages that were handled."""

    receipts: Annotated[list[Annotated[str, Field(pattern=RECEIPT)]], Field(min_length=1, max_length=1000)]


class Take(Shape):
    """What an agent is ready to take."""

    limit: Annotated[int, Field(ge=1, le=100)] = 1
    queues: Annotated[list[Annotated[str, Field(pattern=QUEUE)]], Field(max_length=20)] = [SHARED]
    wait: Annotated[float, Field(ge=0, le=30, description="Seconds to wait for the first.")] = 0.0


class Settle(Shape):
    """How a task ended that was taken by `take`."""

    receipt: Annotated[str, Field(pattern=RECEIPT)]
    outcome: Literal["done", "fail", "dead"] = Field(
        default="done", description="`fail` is tried again as far as it has attempts left, `dead` never."
    )
    result: JsonValue = None
    error: Annotated[str, Field(max_length=500)] = ""


class SettleMany(Shape):
    """How tasks ended."""

    settlements: Annotated[list[Settle], Field(min_length=1, max_length=100)]


class Accepted(Shape):
    """What was accepted: the bus has it."""

    ticket_id: str
    status: TicketStatus
    duplicate: bool = Field(default=False, description="It was there before; nothing was added.")
    known: bool | None = Field(default=None, description="Whether the bus ever heard of that agent; for messages.")


class TicketShape(Shape):
    """What became of a message or task."""

    ticket_id: str
    kind: TicketKind
    status: TicketStatus
    to: str = Field(description="Agent of a message, lane of a task.")
    queued_at: str | None
    delivered_at: str | None
    settled_at: str | None
    reason: str
    attempt: int
    owner: str


class MessageShape(Shape):
    """A message as it is handed out."""

    id: str
    entry_id: str
    receipt: str
    type: str
    sender: str = Field(alias="from")
    to: str
    payload: JsonValue
    encoding: Literal["json", "text", "base64"]
    content_type: str
    arrived_at: str
    ttl: float
    deliveries: int
    correlation_id: str
    reply_to: str


class Messages(Shape):
    """Messages that were handed out; what is not acknowledged within 30 s is handed out again."""

    messages: list[MessageShape]


class TaskShape(Shape):
    """A task as it is handed out."""

    id: str
    entry_id: str
    receipt: str
    type: str
    sender: str = Field(alias="from")
    queue: str
    priority: Priority
    payload: JsonValue
    encoding: Literal["json", "text", "base64"]
    content_type: str
    arrived_at: str
    ttl: float
    attempt: int
    deliveries: int
    correlation_id: str
    reply_to: str


class Tasks(Shape):
    """Tasks that were handed out; what is neither settled nor renewed within 30 s passes to another."""

    tasks: list[TaskShape]


class Outcomes(Shape):
    """One word for each of what was asked about, in order."""

    outcomes: list[str]


class BatchItem(Shape):
    """What became of one of a batch: a ticket, or an error."""

    status: int
    ticket: Accepted | None = None
    error: ErrorBody | None = None


class BatchAnswer(Shape):
    """What became of a batch, in order."""

    results: list[BatchItem]


class Cancelled(Shape):
    """What became of a cancel."""

    outcome: Literal["cancelled", "requested"]


class Told(Shape):
    """A broadcast that was made."""

    id: str
    duplicate: bool


class ResultShape(Shape):
    """How a task ended, and what its handler returned."""

    ticket: TicketShape
    result: JsonValue = None
    encoding: Literal["json", "text", "base64"] = "text"
    content_type: str = ""
    error: str = ""
    progress: str = ""


class Agents(Shape):
    """The agents that the bus knows."""

    at: str
    agents: list[dict[str, Any]]


class WhoShape(Shape):
    """Whose key it is."""

    key: str = Field(description="Its id; empty for who came without one.")
    role: str
    agents: list[str]


class Health(Shape):
    """Whether it is well."""

    status: str
    reason: str = ""


class ErrorBody(Shape):
    """Why a request was refused."""

    code: str = Field(description="One word that programs can tell it by.")
    field: str = Field(description="Which part of the request is meant; empty for none.")
    reason: str
    hint: str = Field(description="The next step.")


class ErrorShape(Shape):
    """The shape of everything that goes wrong."""

    error: ErrorBody


BatchItem.model_rebuild()
