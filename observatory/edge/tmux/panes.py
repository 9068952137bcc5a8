"""The panes of one tmux server: which there are, what they show, and putting text into one as a single act.

A paste, the Enter behind it and the mark that remembers it are one command list of the server, which runs it as a
whole or, when its condition does not hold any more, not at all. So whoever dies while it delivers leaves either
nothing or a pane that says what it was given.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import libtmux
from libtmux.exc import LibTmuxException

from observatory.model.errors import ObservatoryError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEADLINE_S: Final = 5.0
"""Seconds that tmux may take for a command."""

AGENT_OPTION: Final = "@observatory_agent"
"""Option of a pane, window or session that says whose terminal it is."""

KIND_OPTION: Final = "@observatory_kind"
"""Option that says of which kind the agent is."""

_MARK: Final = "@observatory_last"
_BETWEEN: Final = "|:|"
_FIELDS: Final = (
    *("pane_id", "pane_pid", "pane_dead", "pane_input_off", "pane_in_mode", "bracket_paste_flag", _MARK),
    *(AGENT_OPTION, KIND_OPTION, "pane_current_command", "session_name"),
)
"""What is asked of a pane; what foreigners may choose freely stands last."""

_FORMAT: Final = _BETWEEN.join(f"#{{{name}}}" for name in _FIELDS)
_CAN_TAKE: Final = "#{&&:#{==:#{pane_input_off},0},#{==:#{pane_in_mode},0}}"

Result = TypeVar("Result")


class TmuxError(ObservatoryError):
    """Tmux is not there, or does not do what it is told."""


@dataclass(frozen=True, slots=True)
class Pane:
    """One pane, at the moment of a look.

    Attributes:
        id: `%` and a number; never used again while its server lives.
        pid: Process that was started in it.
        obstacle: Why nothing may be typed into it, whatever it shows; empty if nothing is in the way.
        brackets: Its program takes bracketed pastes; None where this tmux cannot tell.
        mark: What the last paste left.
        agent: Whose terminal it says it is; foreign text.
        kind: Of which kind it says its agent is; foreign text.
        command: Program in the foreground.
        session: Name of its session; foreign text.
    """

    id: str
    pid: str
    obstacle: str
    brackets: bool | None
    mark: str
    agent: str
    kind: str
    command: str
    session: str

    @property
    def is_dead(self) -> bool:
        """Its process has ended, and only its screen is left."""
        return self.obstacle == _DEAD


_DEAD: Final = "its process has ended"


class Pasted(StrEnum):
    """What became of a paste."""

    DONE = "done"
    """The pane has the text, now or since an earlier attempt: its mark says so."""

    NOT_NOW = "not now"
    """The pane is there, and took nothing: somebody scrolls in it, its input is off, or another program runs."""

    GONE = "gone"
    """There is no such pane any more, or another process in its place."""


class Panes:
    """The panes of one tmux server. What it is asked runs in threads, so that a slow server holds up nobody else.

    Args:
        socket: Name of the server's socket, as in `tmux -L`; the default one if empty.
        path: Path of the socket instead, as in `tmux -S`.
    """

    def __init__(self, socket: str = "", *, path: str = "") -> None:
        self._server = libtmux.Server(socket_name=socket or None, socket_path=path or None)
        self.place = path or socket or "default"

    async def list(self) -> list[Pane]:
        """Return all panes, those of every session, in the order of tmux; none if no server runs.

        Raises:
            TmuxError: It does not answer.
        """
        rows = await self._ask(lambda: self._run("list-panes", "-a", "-F", _FORMAT, quiet=True))
        return [pane for row in rows if (pane := _pane(row)) is not None]

    async def look(self, pane: Pane) -> tuple[Pane | None, tuple[str, ...]]:
        """Return a pane as it is now and the rows that it shows; None if it is gone or runs another process.

        Raises:
            TmuxError: Tmux does not answer.
        """
        ask = ("display-message", "-p", "-t", pane.id, _FORMAT, ";", "capture-pane", "-p", "-t", pane.id)
        said, *screen = await self._ask(lambda: self._run(*ask, quiet=True)) or [""]
        now = _pane(said)
        return (now, tuple(screen)) if now is not None and (now.id, now.pid) == (pane.id, pane.pid) else (None, ())

    async def paste(self, pane: Pane, text: str, mark: str) -> Pasted:
        """Put *text* and an Enter into a pane as one act, and leave *mark* there; if it stands there, do nothing.

        Args:
            pane: As the last look saw it: another process, or another program in the foreground, gets nothing.
            text: What `model.terminal.typed` returned.
            mark: Digits, letters, dashes and slashes.

        Raises:
            TmuxError: Tmux does not answer; the paste may have happened, and the mark says whether it has.
        """
        return await self._ask(lambda: self._paste(pane, text, mark))

    def _paste(self, pane: Pane, text: str, mark: str) -> Pasted:
        buffers = [f"observatory-text-{pane.id[1:]}", f"observatory-enter-{pane.id[1:]}"]
        for buffer, content in zip(buffers, (text, "\r"), strict=True):
            self._load(buffer, content)
        # The Enter is pasted, too: a key would go to whatever mode the pane is in, and to panes that are synchronised.
        words = (
            f"paste-buffer -d -p -r -b {buffers[0]} -t {pane.id}",
            f"paste-buffer -d -r -b {buffers[1]} -t {pane.id}",
            f"set-option -p -t {pane.id} {_MARK} {mark}",
        )
        said = self._run(
            *("if-shell", "-F", "-t", pane.id, _condition(pane, mark), " ; ".join(words), ";"),
            *("display-message", "-p", "-t", pane.id, _FORMAT),
            quiet=True,
        )
        now = _pane(said[-1]) if said else None
        if now is None or (now.id, now.pid) != (pane.id, pane.pid) or now.is_dead:
            return Pasted.GONE
        return Pasted.DONE if now.mark == mark else Pasted.NOT_NOW

    def _load(self, buffer: str, content: str) -> None:
        """Fill a paste buffer by way of a file, which unlike a command line nobody else can read."""
        handle, name = tempfile.mkstemp(prefix="observatory-")
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode())
            self._run("load-buffer", "-b", buffer, name)
        finally:
            path.unlink()

    def _run(self, *words: str, quiet: bool = False) -> Sequence[str]:
        done = self._server.cmd(*words)
        if done.returncode and not quiet:
            raise TmuxError(f"tmux {words[0]}: {line(' '.join(done.stderr)) or 'failed'}")
        return done.stdout if not done.returncode else ()

    async def _ask(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.wait_for(asyncio.to_thread(work), DEADLINE_S)
        except TimeoutError:
            raise TmuxError(f"tmux ({line(self.place)}) does not answer within {DEADLINE_S:g} s") from None
        except (LibTmuxException, OSError) as error:
            raise TmuxError(f"tmux: {line(str(error)) or type(error).__name__}", "is tmux installed?") from error


def _condition(pane: Pane, mark: str) -> str:
    """Return what must hold at the moment of the paste, as a format of tmux."""
    same = f"#{{&&:#{{==:#{{pane_pid}},{pane.pid}}},#{{!=:#{{{_MARK}}},{mark}}}}}"
    return f"#{{&&:{_CAN_TAKE},#{{&&:{same},#{{==:#{{pane_current_command}},{_escaped(pane.command)}}}}}}}"


def _escaped(text: str) -> str:
    """Return *text* as it stands inside a format."""
    return "".join(f"#{char}" if char in "#,}" else char for char in text)


def _pane(row: str) -> Pane | None:
    parts = row.split(_BETWEEN, len(_FIELDS) - 1)
    if len(parts) < len(_FIELDS) or not parts[0].startswith("%"):
        return None
    ident, pid, dead, off, mode, brackets, mark, *said = parts
    obstacles = ((dead, _DEAD), (off, "its input is off"), (mode, "somebody scrolls in it"))
    obstacle = next((why for flag, why in obstacles if flag not in {"", "0"}), "")
    return Pane(ident, pid, obstacle, brackets == "1" if brackets else None, mark, *said)
