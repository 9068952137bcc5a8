"""Handlers: what an agent's author writes, prepared so that a worker can call any of them in one way."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from observatory.bus.tasks.delivery import TaskContext
    from observatory.model.task import Task

ANY_TYPE: Final = "*"
"""Key of the handler for types that have none of their own."""

Function = Callable[..., Any]
"""A handler as its author writes it: `(task)`, `(task, context)`, or with a pydantic model in the task's place, which
is then the parsed payload; a coroutine function, or a plain function that runs in a thread. What it returns is the
task's result; raising is failing."""

Proceed = Callable[[], Awaitable[Any]]
Middleware = Callable[["Task", "TaskContext", Proceed], Awaitable[Any]]
"""Runs around every handler; awaits `proceed()` and returns its result, or one of its own."""


class DoNotRetry(Exception):  # noqa: N818 - it reads as the order that it is
    """Raise it in a handler: another attempt would fail as well, so the task becomes a dead letter at once."""


class MalformedPayloadError(DoNotRetry):
    """The payload does not fit the model that the handler asks for; the dead letter's reason is `malformed`."""


class Snooze(Exception):  # noqa: N818 - it reads as the order that it is
    """Raise it in a handler to be given the task again later, without an attempt having failed.

    Args:
        seconds: How long to wait.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Handling:
    """A handler with terms of its own.

    Attributes:
        function: The handler.
        timeout_s: Seconds that an attempt may run; None for as long as it likes. A thread cannot be stopped: what a
            plain function still does after its time has no effect on the task.
        retry_delays: Seconds before the second, third … attempt; None for the worker's.
    """

    function: Function
    timeout_s: float | None = None
    retry_delays: Sequence[float] | None = None


Handler = Function | Handling
"""What `Bus.worker` takes for a task type."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A handler, ready to be called.

    Attributes:
        call: Calls it with task and context, whatever its signature.
        timeout_s: Seconds that an attempt may run, or None.
        retry_delays: Seconds before the second, third … attempt.
    """

    call: Callable[[Task, TaskContext], Awaitable[Any]]
    timeout_s: float | None
    retry_delays: tuple[float, ...]


def prepare(
    handlers: Mapping[str, Handler], middleware: Sequence[Middleware], retry_delays: Sequence[float], pool: Executor
) -> dict[str, Prepared]:
    """Make handlers callable in one way.

    Args:
        handlers: Handler by task type.
        middleware: Runs around every handler, the first one outermost.
        retry_delays: For handlers that name none.
        pool: Where plain functions run.
    """
    prepared = {}
    for kind, handler in handlers.items():
        terms = handler if isinstance(handler, Handling) else Handling(handler)
        call = _callable(terms.function, pool)
        for layer in reversed(middleware):
            call = partial(_around, layer, call)
        delays = retry_delays if terms.retry_delays is None else terms.retry_delays
        prepared[kind] = Prepared(call, terms.timeout_s, tuple(delays))
    return prepared


def _callable(function: Function, pool: Executor) -> Callable[[Task, TaskContext], Awaitable[Any]]:
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    takes_context = len(parameters) > 1
    model = _model_of(function, parameters[0].name) if parameters else None
    target = function if inspect.isfunction(function) or inspect.ismethod(function) else type(function).__call__
    is_async = inspect.iscoroutinefunction(target)

    async def call(task: Task, context: TaskContext) -> Any:  # noqa: ANN401 - a result may be anything
        subject = task if model is None else _parsed(model, task.payload)
        arguments = (subject, context) if takes_context else (subject,)
        if is_async:
            return await function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(pool, partial(function, *arguments))

    return call


async def _around(
    layer: Middleware, inner: Callable[[Task, TaskContext], Awaitable[Any]], task: Task, context: TaskContext
) -> Any:  # noqa: ANN401 - a result may be anything
    return await layer(task, context, partial(inner, task, context))


def _model_of(function: Function, parameter: str) -> Any:  # noqa: ANN401 - a pydantic model class, or None
    """Return the pydantic model that the first parameter is annotated with; pydantic is not imported for it."""
    try:
        hint = typing.get_type_hints(function).get(parameter)
    except (NameError, TypeError):
        # Annotations that only a type checker can resolve name no model that we could call.
        return None
    return hint if hasattr(hint, "model_validate_json") else None


def _parsed(model: Any, payload: bytes) -> Any:  # noqa: ANN401 - a pydantic model and its instance
    try:
        return model.model_validate_json(payload)
    except ValueError as error:
        raise MalformedPayloadError(line(str(error), 300)) from error
