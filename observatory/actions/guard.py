"""The guard: whether anything may be changed at all, and whether a plan was agreed to as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.clock import Clock, SystemClock
from observatory.model.errors import RefusedError, UsageError
from observatory.model.plan.consent import Consent, Demand, demand, missing

if TYPE_CHECKING:
    from observatory.model.plan import Plan

LONGEST_S = 8 * 3600.0
"""Seconds for which writing can be allowed at most."""


class Guard:
    """Says no where no is the answer. Nothing is written but behind it.

    Args:
        locked: Why nothing may be changed in this session, in words; empty if it may. It cannot be lifted.
        read_only: Why nothing may be changed unless somebody allows it for a while, in words; empty if it may.
        protected: Name of the bus, if what is done to it has to be confirmed in writing; empty otherwise.
        clock: By which an allowance ends.
    """

    def __init__(
        self, *, locked: str = "", read_only: str = "", protected: str = "", clock: Clock | None = None
    ) -> None:
        self._locked = locked
        self._read_only = read_only
        self.protected = protected
        self._clock = clock or SystemClock()
        self._until: float | None = None
        self._forbidden = ""

    @property
    def is_safe(self) -> bool:
        """Writing needs an allowance here."""
        return bool(self._locked or self._read_only)

    @property
    def armed_s(self) -> float | None:
        """Seconds for which writing is allowed yet; None where no allowance holds."""
        if self._until is None:
            return None
        left = self._until - self._clock.monotonic()
        return left if left > 0 else None

    @property
    def refusal(self) -> str:
        """Why nothing may be changed now, in words; empty if something may."""
        if self._locked:
            return self._locked
        if self._forbidden:
            return self._forbidden
        return self._read_only if self._read_only and self.armed_s is None else ""

    def forbid(self, why: str) -> None:
        """Take note that the engine lets nothing be changed, or, with an empty *why*, that it does."""
        self._forbidden = why

    def arm(self, seconds: float) -> None:
        """Allow writing for a while.

        Raises:
            UsageError: No number of seconds that makes sense.
            RefusedError: It cannot be allowed here.
        """
        if not 0 < seconds <= LONGEST_S:
            raise UsageError(f"{seconds:g} s is no time to allow writing for", f"up to {LONGEST_S / 3600:g} hours")
        if self._locked or self._forbidden:
            raise RefusedError(self._locked or self._forbidden, "writing cannot be allowed in this session")
        self._until = self._clock.monotonic() + seconds

    def disarm(self) -> None:
        """End an allowance."""
        self._until = None

    def demand(self, plan: Plan) -> Demand:
        """Return what it takes to agree to *plan* here."""
        return demand(plan, protected=self.protected)

    def check(self, plan: Plan, consent: Consent) -> None:
        """Let pass what may be done.

        Raises:
            RefusedError: It may not, or nobody agreed to it as it takes.
        """
        if self.refusal:
            raise RefusedError(self.refusal, "nothing was changed")
        if lacks := missing(self.demand(plan), consent):
            raise RefusedError(lacks, "nothing was changed")
