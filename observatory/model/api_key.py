"""API keys: what opens a gateway, to whom, and how much of it.

A key is `obs_<id>_<secret>`. The secret is 256 bits from the system's randomness, so it cannot be guessed from its
hash however fast that is computed: a salted BLAKE2b is enough, and costs microseconds at every request, where scrypt,
which is for passwords that people think of, would cost tens of milliseconds and let anybody keep a gateway busy.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Self

from observatory.model.errors import UsageError
from observatory.model.text import line

SCOPE_LIMIT: Final = 50
"""Patterns in the scope of a key at most."""

_KEY = re.compile(r"obs_([a-z0-9]{8})_([A-Za-z0-9_-]{43})", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,63}")
_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32


class Role(StrEnum):
    """What a key is for."""

    READER = "reader"
    """Sees agents, tickets, events and metrics, and changes nothing."""
    SENDER = "sender"
    """What a reader does; sends messages and publishes tasks."""
    AGENT = "agent"
    """What a sender does, in the name of the agents of its scope only; reads their mailboxes and works for them."""
    OPERATOR = "operator"
    """Everything, for every agent: cancels tasks, tells all agents."""


class Right(StrEnum):
    """What a request may need."""

    LOOK = "look"
    SEND = "send"
    ACT = "act"
    """To read, acknowledge, beat and work as an agent."""
    STEER = "steer"


RIGHTS: Final = {
    Role.READER: frozenset({Right.LOOK}),
    Role.SENDER: frozenset({Right.LOOK, Right.SEND}),
    Role.AGENT: frozenset({Right.LOOK, Right.SEND, Right.ACT}),
    Role.OPERATOR: frozenset(Right),
}
"""What each role may do."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself.

    Attributes:
        id: Its public part, by which it is listed, logged and revoked.
        role: What it is for.
        agents: Names of agents that it may act for, `*` and `?` standing for anything; of no meaning for operators.
        note: Whose it is, in words.
        created_ms: When it was made, ms since the epoch.
        salt: What its secret was hashed with, in hexadecimal digits.
        digest: The hash, in hexadecimal digits.
    """

    id: str
    role: Role
    agents: tuple[str, ...]
    note: str
    created_ms: int
    salt: str
    digest: str

    def opens(self, secret: str) -> bool:
        """Say whether *secret* is the one of this key; takes equally long for every wrong one."""
        return hmac.compare_digest(_digest(secret, bytes.fromhex(self.salt)), bytes.fromhex(self.digest))

    def may(self, right: Right, agent: str | None = None) -> bool:
        """Say whether it gives *right*, for *agent* if that is named."""
        if right not in RIGHTS[self.role]:
            return False
        return agent is None or self.role is Role.OPERATOR or self.covers(agent)

    def covers(self, agent: str) -> bool:
        """Say whether *agent* is in its scope."""
        return any(fnmatchcase(agent, pattern) for pattern in self.agents)

    def packed(self) -> str:
        """Return it as it is kept on the bus."""
        said = {"role": self.role, "agents": self.agents, "note": self.note, "created_ms": self.created_ms}
        return json.dumps({**said, "salt": self.salt, "digest": self.digest})

    @classmethod
    def unpacked(cls, ident: str, text: str) -> Self | None:
        """Read what is kept on the bus; None if it is no key of ours, which then opens nothing."""
        try:
            said = json.loads(text)
            key = cls(
                ident,
                Role(said["role"]),
                tuple(map(str, said["agents"])),
                str(said["note"]),
                int(said["created_ms"]),
                str(said["salt"]),
                str(said["digest"]),
            )
            bytes.fromhex(key.salt), bytes.fromhex(key.digest)
        except (KeyError, TypeError, ValueError):
            return None
        return key


def new_key(
    ident: str, secret: str, salt: bytes, *, role: str, agents: tuple[str, ...], note: str, created_ms: int
) -> ApiKey:
    """Return what is to be known of a key that is about to be given away.

    Raises:
        UsageError: Role or scope cannot be one; the message begins with the field.
    """
    try:
        chosen = Role(role)
    except ValueError:
        raise UsageError(f"role: {line(role, 64)!r} is none of {', '.join(Role)}") from None
    if chosen is Role.AGENT and not agents:
        raise UsageError("agents: a key for agents needs a scope", "name agents, or patterns such as team-*")
    if len(agents) > SCOPE_LIMIT:
        raise UsageError(f"agents: {len(agents)} patterns, {SCOPE_LIMIT} at most")
    for pattern in agents:
        if not _PATTERN.fullmatch(pattern):
            raise UsageError(f"agents: {line(pattern, 64)!r} is no name or pattern", "letters, digits, . _ - * ?")
    return ApiKey(ident, chosen, agents, line(note, 200), created_ms, salt.hex(), _digest(secret, salt).hex())


def parts(token: str) -> tuple[str, str] | None:
    """Return id and secret of a key as its owner sends it; None if it is none."""
    found = _KEY.fullmatch(token)
    return None if found is None else (found[1], found[2])


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.blake2b(secret.encode(), digest_size=_DIGEST_BYTES, salt=salt[:_SALT_BYTES]).digest()
