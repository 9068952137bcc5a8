"""What a client may write to its socket, one JSON object a frame; `op` says which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from observatory.edge.gateway.shapes import BASE64, QUEUE, AgentName, Beat, Ident, Send, Shape, Word
from observatory.model.task import SHARED


class Ack(Shape):
    """Messages were handled."""

    op: Literal["ack"]
    entry_ids: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=1000)]


class MailFrame(Shape):
    """Push mail; for sockets that were opened with `mail=later`.

    What the client has from a socket before this one, and did not acknowledge, is not pushed again.
    """

    op: Literal["mail"]
    have: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=1000)] = Field(default=[])


class Work(Shape):
    """Push tasks, so many at a time; said once a socket."""

    op: Literal["work"]
    slots: Annotated[int, Field(ge=1, le=100)] = 1
    queues: Annotated[list[Annotated[str, Field(pattern=QUEUE)]], Field(max_length=20)] = Field(default=[SHARED])
    version: Word = ""


class Done(Shape):
    """A task is done."""

    op: Literal["done"]
    task_id: Annotated[str, Field(max_length=1000)]
    result: JsonValue = None
    result_base64: Annotated[str, Field(pattern=BASE64)] | None = Field(
        default=None, description="Bytes instead of *result*."
    )


class Fail(Shape):
    """A task failed; it is tried again as far as it has attempts left, unless *retry* is false."""

    op: Literal["fail"]
    task_id: Annotated[str, Field(max_length=1000)]
    error: Annotated[str, Field(max_length=500)] = ""
    retry: bool = True


class Snoozed(Shape):
    """A task is wanted again later, without having failed."""

    op: Literal["snooze"]
    task_id: Annotated[str, Field(max_length=1000)]
    seconds: Annotated[float, Field(ge=0, le=86_400)]


class Progress(Shape):
    """How far a task is."""

    op: Literal["progress"]
    task_id: Annotated[str, Field(max_length=1000)]
    share: Annotated[float, Field(ge=0, le=1)]
    note: Annotated[str, Field(max_length=200)] = ""


class SendFrame(Send):
    """A message to an agent; *ref* comes back with the answer."""

    op: Literal["send"]
    to: AgentName
    ref: Ident | None = None


class BeatFrame(Beat):
    """A sign of life."""

    op: Literal["beat"]


class Ping(Shape):
    """Answered by `pong`."""

    op: Literal["ping"]


ClientFrame = Annotated[
    Ack | MailFrame | Work | Done | Fail | Snoozed | Progress | SendFrame | BeatFrame | Ping, Field(discriminator="op")
]

FRAMES: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)
"""Reads a frame."""
