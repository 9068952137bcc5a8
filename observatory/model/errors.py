"""Errors that a person is meant to read: one line that names the thing, and the next step to take.

Each carries the exit code that the command line gives it, so that a verb never has to translate.
"""

from __future__ import annotations

from typing import ClassVar


class ObservatoryError(Exception):
    """Something that went wrong in a way we can name.

    Args:
        problem: What is wrong, naming the field, key, file or address.
        hint: The next step for the person who reads it; empty when there is none to give.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem} ({self.hint})" if self.hint else self.problem


class UsageError(ObservatoryError):
    """Input from a person that cannot be taken: a flag, a URL, a form field."""

    exit_code = 2


class RefusedError(ObservatoryError):
    """A change that may not be made here and now, or that nobody agreed to as it takes; nothing was changed."""

    exit_code = 2


class SettingsError(ObservatoryError):
    """A settings, keymap or theme file that cannot be taken; names file, key and, if known, line."""

    exit_code = 2


class BusError(ObservatoryError):
    """The bus answered, and the answer is no: wrong key type, forbidden command, out of memory."""


class BusUnreachableError(BusError):
    """The bus did not answer, or what answered is not a Redis, or it refused the credentials."""

    exit_code = 3


class BusBusyError(BusError):
    """A lane is at its bound: nothing was added, and nothing was dropped to make room."""


class NotDurableError(BusError):
    """What was written is not known to be on disk; it may well be."""


class EngineError(ObservatoryError):
    """The embedded engine cannot be started or stopped: port or directory in use, binary missing."""
