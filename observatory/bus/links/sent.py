"""The command log: what was really sent to the engine on behalf of somebody who wants to see it.

Nobody pays for it but who listens: a log is kept by whoever opens one, for what is sent from within.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from observatory.model.plan.record import SentCall
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from observatory.bus.links.link import Argument, Reply

REMEMBERED: Final = 500
"""Calls that a log holds."""

_SHOWN: Final = 12
"""Arguments of a call that are written out."""

SentLog = deque[SentCall]
"""Calls, oldest first."""

_log: ContextVar[SentLog | None] = ContextVar("observatory-sent", default=None)


def new_log() -> SentLog:
    """Return an empty log."""
    return deque(maxlen=REMEMBERED)


@contextmanager
def logged(log: SentLog) -> Iterator[None]:
    """Keep in *log* what is sent from within."""
    token = _log.set(log)
    try:
        yield
    finally:
        _log.reset(token)


@contextmanager
def sending(words: Sequence[Argument]) -> Iterator[Callable[[Reply], None]]:
    """Take note of one call, if somebody listens; yields what is told the reply.

    Args:
        words: The command and its arguments; a script by its name.
    """
    log = _log.get()
    if log is None:
        yield _unheard
        return
    replies: list[Reply] = []
    began = time.monotonic()
    try:
        yield replies.append
    except BaseException as error:
        _note(log, words, began, error)
        raise
    _note(log, words, began, replies[0])


def _unheard(_reply: Reply) -> None:
    """Hear nothing: nobody listens."""


def _note(log: SentLog, words: Sequence[Argument], began: float, reply: Reply | BaseException) -> None:
    shown = " ".join(_word(word) for word in words[:_SHOWN])
    more = f" … {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else ""
    took = (time.monotonic() - began) * 1000
    log.append(SentCall(time.time_ns() // 1_000_000 - round(took), line(shown + more, 400), _told(reply), took))


def _word(word: Argument) -> str:
    text = word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
    return line(text, 60) or '""'


def _told(reply: Reply | BaseException) -> str:
    if isinstance(reply, BaseException):
        return f"✖ {line(str(reply), 100)}"
    if isinstance(reply, list):
        return f"{len(reply):,} answers"
    return "nothing" if reply is None else _word(reply)
