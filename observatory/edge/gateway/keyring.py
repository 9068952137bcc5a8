"""Who may come in: the keys of the bus, known here a moment after they are made or revoked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observatory.edge.gateway.problems import Problem, problem_of
from observatory.model.api_key import ApiKey, Right, Role, parts
from observatory.model.errors import BusError

if TYPE_CHECKING:
    from observatory.bus import Bus

REREAD_S: Final = 2.0
"""Seconds after which a key that was revoked opens nothing any more, at the latest."""

LOOK_AGAIN_S: Final = 0.2
"""Seconds between two looks for keys that are not known yet: who guesses must not keep the bus busy."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        name: Id of the key, or the address of whoever came without one; for the log and the rate.
        key: The key; None for who may do everything without one.
    """

    name: str
    key: ApiKey | None

    def may(self, right: Right, agent: str | None = None) -> bool:
        """Say whether this caller has *right*, for *agent* if that is named."""
        return self.key is None or self.key.may(right, agent)

    def need(self, right: Right, agent: str | None = None) -> None:
        """Refuse a caller who has not *right*.

        Raises:
            Problem: 403.
        """
        if not self.may(right, agent):
            whom = "" if agent is None else f" as {agent}"
            hint = "ask for a key with that role, and that agent in its scope"
            raise Problem(403, "forbidden", f"this key may not {right}{whom}", hint=hint)

    def sender(self, said: str | None) -> str:
        """Return in whose name this caller sends.

        Raises:
            Problem: 403, where it is none of its agents.
        """
        if said is not None:
            if self.key is not None and self.key.role is Role.AGENT and not self.key.covers(said):
                raise Problem(403, "forbidden", "this key may not send in that name", field="from")
            return said
        if self.key is not None and self.key.role is Role.AGENT and len(self.key.agents) == 1:
            (only,) = self.key.agents
            return "" if {"*", "?"} & set(only) else only
        return ""


class Keyring:
    """The keys of a bus, read again and again.

    Args:
        bus: The bus.
        anonymous: Whoever comes without a key may do everything.
    """

    def __init__(self, bus: Bus, *, anonymous: bool) -> None:
        self._bus = bus
        self._anonymous = anonymous
        self._keys: dict[str, ApiKey] = {}
        self._admitted: dict[str, Caller] = {}
        self._reading: asyncio.Task[None] | None = None
        self._looked_at = -1e9
        self._problem: BusError | None = None
        self._rereading: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._keys)

    async def open(self) -> None:
        """Read the keys, and go on reading them.

        Raises:
            BusError: They cannot be read.
        """
        await self._read()
        self._reading = asyncio.create_task(self._read_on(), name="gateway-keys")

    async def close(self) -> None:
        """Stop reading."""
        tasks = {task for task in (self._reading, self._rereading) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def admit(self, token: str, address: str) -> Caller:
        """Return who comes with *token* (empty for none) from *address*.

        Raises:
            Problem: 401; 503 where the bus cannot be asked for a key that is not known yet.
        """
        if not token:
            if self._anonymous:
                return Caller(address, None)
            raise Problem(401, "no_key", "this needs an API key", hint="Authorization: Bearer obs_…")
        if (known := self._admitted.get(token)) is not None:
            return known
        found = parts(token)
        if found is not None:
            ident, secret = found
            if ident not in self._keys:
                await self._look_for_new()
                if self._problem is not None:
                    raise problem_of(self._problem)
            key = self._keys.get(ident)
            if key is not None and key.opens(secret):
                caller = self._admitted[token] = Caller(key.id, key)
                return caller
        raise Problem(401, "wrong_key", "this key opens nothing", hint="it may have been revoked")

    def knows(self, caller: Caller) -> bool:
        """Say whether *caller*, who was let in once, would be let in now."""
        return self._anonymous if caller.key is None else self._keys.get(caller.key.id) == caller.key

    async def _look_for_new(self) -> None:
        """Read the keys again, together with whoever else waits for that."""
        if self._rereading is None or self._rereading.done():
            self._rereading = asyncio.create_task(self._reread(), name="gateway-keys")
        await asyncio.shield(self._rereading)

    async def _reread(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._looked_at + LOOK_AGAIN_S - loop.time(), 0.0))
        with contextlib.suppress(BusError):
            await self._read()

    async def _read(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        try:
            keys = {key.id: key for key in await self._bus.api_keys.all()}
        except BusError as error:
            self._problem = error
            raise
        self._problem = None
        if keys != self._keys:
            # Who was let in by a key that is gone, or another by now, is looked at again.
            self._keys = keys
            self._admitted.clear()

    async def _read_on(self) -> None:
        while True:
            await asyncio.sleep(REREAD_S)
            try:
                await self._read()
            except BusError as error:
                log.warning("keys: %s", error)
