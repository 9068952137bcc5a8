"""Reading what a user may not be allowed to read: the answer, or what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import NoPermissionError

from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.health import Finding, Severity
from observatory.model.text import line

if TYPE_CHECKING:
    from observatory.bus.links.link import Argument, Link, Reply


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read.

    Attributes:
        why: The reason, in one line.
        right: The ACL rule that would allow it; empty where the engine cannot do it at all.
    """

    why: str
    right: str = ""

    def finding(self, name: str) -> Finding:
        """Say so for the check *name*."""
        return Finding(name, Severity.UNKNOWN, self.why, f"ACL SETUSER <user> {self.right}" if self.right else "")


async def read(link: Link, right: str, *command: Argument) -> Reply | Unread:
    """Send one command that only reads.

    Args:
        link: The link to the engine.
        right: The ACL rule that allows it.
        command: The command.

    Raises:
        BusUnreachableError: The engine does not answer.
    """
    try:
        return await link.command(*command)
    except BusUnreachableError:
        raise
    except BusError as error:
        return unread(error.__cause__ or error, right)


def unread(error: BaseException, right: str) -> Unread:
    """Say why the command that needs *right* was refused."""
    if isinstance(error, NoPermissionError):
        return Unread(f"the user in the URL may not read it: {right} is missing", right)
    return Unread(f"the engine does not tell: {line(str(error), 120)}")
