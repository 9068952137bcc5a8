"""What a person types to describe a task, checked field by field, and the task that it becomes."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import UsageError
from observatory.model.quantity import duration_s
from observatory.model.task import DEFAULT_TTL_S, SHARED, NewTask, Priority, is_queue_name
from observatory.model.text import line
from observatory.model.wire import MAX_PAYLOAD

if TYPE_CHECKING:
    from typing import NoReturn

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"

_CLOCK = SystemClock()


def sortable_id(clock: Clock) -> str:
    """Return a fresh UUID of version 7: ids made later sort later, to the millisecond of *clock*."""
    value = (clock.now_ms() & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 2 << 62))


def _priority(text: object) -> object:
    """Take a priority by its first letters."""
    if not isinstance(text, str):
        return text
    word = text.strip().lower() or Priority.NORMAL
    for known in Priority:
        if known.startswith(word):
            return known
    raise ValueError(f"{line(text, 24)!r} is none of {', '.join(Priority)}")


def _duration(text: object) -> object:
    return duration_s(text) if isinstance(text, str) else text


class TaskDraft(BaseModel):
    """A task as a person describes it.

    Attributes:
        type: Kind of work.
        to: Queue name, `@agent`, or `shared`; empty means the shared queue.
        priority: Lane of that queue; its first letters are enough.
        ttl: Time to live, as in `5m`; seconds once read.
        delay: Time to wait first, as in `30s`; seconds once read.
        payload: The work: JSON if it starts like JSON, else text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Annotated[str, Field(max_length=256)]
    to: str = SHARED
    priority: Annotated[Priority, BeforeValidator(_priority)] = Priority.NORMAL
    ttl: Annotated[float, BeforeValidator(_duration)] = float(DEFAULT_TTL_S)
    delay: Annotated[float, BeforeValidator(_duration)] = 0.0
    payload: str = ""

    @classmethod
    def parse(
        cls,
        *,
        type: str,  # noqa: A002 - the field of the wire is called type
        to: str = SHARED,
        priority: str = Priority.NORMAL,
        ttl: str = "1h",
        delay: str = "0",
        payload: str = "",
        sender: str = "operator",
        id: str = "",  # noqa: A002 - and this one id
        clock: Clock = _CLOCK,
    ) -> NewTask:
        """Turn what a person typed into a task that can be published.

        Args:
            type: Kind of work.
            to: Queue name, `@agent`, or `shared`.
            priority: Lane of that queue.
            ttl: Time to live; empty means the default.
            delay: Time to wait first; empty means none.
            payload: JSON, or text that does not start like JSON.
            sender: Who publishes.
            id: Identity to keep, so that a form that is sent twice publishes once; a fresh one if empty.
            clock: Where the creation time and a fresh id come from.

        Raises:
            UsageError: A field cannot be taken; it names the field and the reason.
        """
        try:
            draft = cls.model_validate(
                {
                    "type": type,
                    "to": to,
                    "priority": priority,
                    "ttl": ttl.strip() or str(DEFAULT_TTL_S),
                    "delay": delay.strip() or "0",
                    "payload": payload,
                }
            )
        except ValidationError as error:
            _explain(error)
        data = draft.payload.encode()
        return NewTask(
            type=draft.type,
            payload=data,
            id=id or sortable_id(clock),
            queue=draft.to,
            priority=draft.priority,
            sender=sender,
            content_type=(JSON_TYPE if _looks_json(draft.payload) else TEXT_TYPE) if data else "",
            created_ms=clock.now_ms(),
            ttl_s=draft.ttl,
            delay_s=draft.delay,
        )

    @field_validator("type")
    @classmethod
    def _type_is_a_word(cls, value: str) -> str:
        value = value.strip()
        if not value:
            raise ValueError("say what kind of work it is, for example code_task")
        if not value.isprintable():
            raise ValueError("contains characters that cannot be printed")
        return value

    @field_validator("to")
    @classmethod
    def _to_is_a_queue(cls, value: str) -> str:
        value = value.strip() or SHARED
        if not is_queue_name(value):
            raise ValueError(f"{line(value, 32)!r} is no queue: write shared, a name like coding, or @agent")
        return value

    @field_validator("ttl")
    @classmethod
    def _ttl_is_positive(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("must be longer than nothing")
        return value

    @field_validator("payload")
    @classmethod
    def _payload_is_what_it_seems(cls, value: str) -> str:
        size = len(value.encode("utf-8", "replace"))
        if size > MAX_PAYLOAD:
            raise ValueError(f"{size:,} bytes; at most {MAX_PAYLOAD:,} go inline")
        try:
            value.encode()
            if _looks_json(value):
                json.loads(value, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
        except RecursionError:
            raise ValueError("JSON nested too deeply") from None
        except UnicodeEncodeError:
            raise ValueError("contains characters that UTF-8 cannot carry") from None
        return value


def _looks_json(text: str) -> bool:
    """Say whether *text* starts like a JSON value, so that a slip in it is an error and not plain text."""
    start = text.strip()
    return start[:1] in {"{", "[", '"'} or start in {"true", "false", "null"} or _is_number(start)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text) is not None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _explain(error: ValidationError) -> NoReturn:
    """Raise the first problem in words: field, then reason."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "task"
    reason = first["msg"].removeprefix("Value error, ")
    raise UsageError(f"{field}: {reason}") from None
