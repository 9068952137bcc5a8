"""The one shape of everything that goes wrong: a code, the field that is meant, the reason, and the next step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from observatory.model.errors import (
    BusBusyError,
    BusError,
    BusUnreachableError,
    NotDurableError,
    ObservatoryError,
    UsageError,
)
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD = re.compile(r"([a-z_]{1,40}): (.+)", re.DOTALL)
_KEPT_NOWHERE = "nothing was kept: send it again"


class Problem(Exception):  # noqa: N818 - it is what the answer is made of
    """Why a request is refused.

    Args:
        status: HTTP status.
        code: One word that programs can tell it by.
        reason: Why, in a sentence.
        field: Which part of the request is meant; empty for none of them.
        hint: The next step.
        retry_after_s: Seconds after which to try again; None where that does not help.
    """

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        field: str = "",
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.field = field
        self.hint = hint
        self.retry_after_s = retry_after_s

    def document(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {"error": {"code": self.code, "field": self.field, "reason": self.reason, "hint": self.hint}}

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that go with it."""
        found = {}
        if self.retry_after_s is not None:
            found["retry-after"] = str(max(round(self.retry_after_s), 1))
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found


def problem_of(error: ObservatoryError) -> Problem:
    """Return what a refusal of the bus client means to whoever asked over the network."""
    reason, hint = line(error.problem, 500), line(error.hint, 300)
    if isinstance(error, UsageError):
        found = _FIELD.fullmatch(reason)
        field, why = (found[1], found[2]) if found else ("", reason)
        return Problem(422, "invalid", why, field=camel(field), hint=hint)
    if isinstance(error, BusBusyError):
        return Problem(429, "busy", reason, hint=hint, retry_after_s=1)
    if isinstance(error, NotDurableError):
        return Problem(503, "not_durable", reason, hint="it may well be kept: send it again with its id")
    if isinstance(error, BusUnreachableError):
        # Where the engine is, and why it does not answer, is for the operator's eyes.
        return Problem(503, "unreachable", "the bus does not answer", hint=_KEPT_NOWHERE, retry_after_s=1)
    code = "refused" if isinstance(error, BusError) else "failed"
    return Problem(503, code, reason, hint=hint or _KEPT_NOWHERE, retry_after_s=5)


def camel(name: str) -> str:
    """Return `reply_to` as it stands in JSON: `replyTo`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
