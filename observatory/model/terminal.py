"""Agents that live in terminals: how each kind looks when it waits for input, and what may be typed to it.

What is typed is foreign text, and a terminal takes control characters for keys. So everything passes `model.text`
first: no escape, no C1 control, no DEL and no tab is left, and with them no way to end a bracketed paste early.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from observatory.model.text import block, line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observatory.model.message import Message

MOST_TYPED: Final = 32 * 1024
"""Bytes that are typed at once at most, where a kind does not say; a longer message cannot be delivered."""

MOST_IN_LINE: Final = 4000 if sys.platform == "linux" else 1000
"""Bytes for a program that leaves the editing of lines to the terminal: Linux drops what is behind 4,095."""

FORMAT: Final = "[from {from}] {text}"
"""What is typed, where a kind does not say: with words in front no message begins with `/` or `!`."""

_FIELDS = ("text", "from", "type", "id")
_FIELD = re.compile(rf"\{{({'|'.join(_FIELDS)})\}}")


class Newlines(StrEnum):
    """What becomes of the line breaks in a message."""

    KEEP = "keep"
    """They stay: the program knows bracketed paste, so that they end nothing."""

    SPACE = "space"
    """Each becomes a blank: the program takes a line break for the end of its input."""


class TooLongError(ValueError):
    """A message has more bytes than are typed at once."""


@dataclass(frozen=True, slots=True)
class AgentKind:
    """How one kind of agent is recognised, read and written to.

    Attributes:
        name: What the kind is called.
        commands: Programs in the foreground of a pane by which it is recognised; without any, the pane must name it.
        prompts: Any of them in the last rows of the screen means that it waits for input.
        busy: Any of them in the same rows means that it does not, whatever else stands there.
        rows: How many of the last rows that are not blank are looked at.
        newlines: What becomes of line breaks.
        cooldown_s: Seconds of rest between two messages.
        most_bytes: Bytes that are typed at once at most.
        format: What is typed: `{text}`, and `{from}`, `{type}` and `{id}` of the message.
    """

    name: str
    prompts: tuple[re.Pattern[str], ...]
    commands: tuple[str, ...] = ()
    busy: tuple[re.Pattern[str], ...] = ()
    rows: int = 1
    newlines: Newlines = Newlines.SPACE
    cooldown_s: float = 0.5
    most_bytes: int = MOST_TYPED
    format: str = FORMAT

    def why_not_ready(self, screen: Sequence[str]) -> str:
        """Say why nothing can be typed now; empty if it waits for input.

        Args:
            screen: The rows of the pane.
        """
        seen = [row.rstrip() for row in screen if row.strip()][-self.rows :]
        for pattern in self.busy:
            if any(pattern.search(row) for row in seen):
                return f"it is busy: {line(pattern.pattern, 40)} is on its screen"
        if any(pattern.search(row) for pattern in self.prompts for row in seen):
            return ""
        return f"no prompt, its screen ends with {line(seen[-1], 60)!r}" if seen else "its screen is empty"


def typed(kind: AgentKind, message: Message, *, brackets: bool | None = None) -> str:
    r"""Return what is typed for *message*: printable characters, and `\n` only where *kind* keeps line breaks.

    Args:
        kind: Whom it is typed to.
        message: The message; whatever in it is a control character is shown as a picture of itself.
        brackets: Whether the program takes bracketed pastes now; None if nobody knows. Without them a line break
            would send half a message, so none is kept.

    Raises:
        TooLongError: It cannot be typed at once.
    """
    parts = {
        "text": block(message.payload, kind.most_bytes + 1),
        "from": line(message.sender) or "?",
        "type": line(message.type) or "?",
        "id": line(message.id),
    }
    # One pass, so that braces in a message are never taken for a field.
    whole = _FIELD.sub(lambda found: parts[found[1]], kind.format)
    if len(whole.encode()) > kind.most_bytes:
        raise TooLongError(f"longer than the {kind.most_bytes:,} bytes that can be typed at once")
    if kind.newlines is Newlines.SPACE or brackets is False:
        whole = " ".join(whole.splitlines())
    return whole or " "


def kind_of(kinds: Mapping[str, AgentKind], named: str, command: str) -> AgentKind | None:
    """Return the kind of the agent in a pane: the one it is named to be, else by the program; None if unknown."""
    if named:
        return kinds.get(named)
    return next((kind for kind in kinds.values() if command in kind.commands), None)


@dataclass(frozen=True, slots=True)
class TerminalSettings:
    """How messages are typed into terminals.

    Attributes:
        kinds: Kinds of agents, by name.
        sessions: Names of sessions that hold an agent; the group `agent` of the expression is its name.
        give_up_s: Seconds without a terminal that takes it, after which a message is a dead letter.
    """

    kinds: Mapping[str, AgentKind] = field(default_factory=lambda: DEFAULT_KINDS)
    sessions: re.Pattern[str] | None = None
    give_up_s: float = 1800.0


def _patterns(*sources: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(source) for source in sources)


DEFAULT_KINDS: Mapping[str, AgentKind] = {
    kind.name: kind
    for kind in (
        AgentKind(
            "claude",
            _patterns(r'^[│|]?\s*[>\u276f]\s*(Try ".*)?[│|]?$'),
            commands=("claude",),
            busy=_patterns("esc to interrupt"),
            rows=8,
            newlines=Newlines.KEEP,
        ),
        AgentKind(
            "codex",
            _patterns(r"^\s*[\u203a▌]\s*(Ask Codex.*)?$"),
            commands=("codex",),
            busy=_patterns("[Ee]sc to interrupt"),
            rows=8,
            newlines=Newlines.KEEP,
        ),
        AgentKind("aider", _patterns(r"^[\w-]*>$"), commands=("aider",)),
        AgentKind("line", _patterns(r"[$#%>\u276f?:]$"), most_bytes=MOST_IN_LINE),
    )
}
"""Kinds that need no configuration. `line`, any program that asks for lines, is never guessed: a pane must name it."""
