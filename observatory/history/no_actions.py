"""The `Actions` of the past: none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from observatory.model.errors import RefusedError
from observatory.model.plan import demand

if TYPE_CHECKING:
    from observatory.model.plan import AuditRecord, Consent, Demand, JobView, Plan, Request, SentCall


class NoActions:
    """Refuses every change in words."""

    refusal = "this is the past: nothing in it can be changed"
    """Why nothing may be changed."""
    armed_s: float | None = None
    """Writing is never allowed here."""

    def arm(self, seconds: float) -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(self.refusal, f"not even for {seconds:g} s")

    def disarm(self) -> None:
        """Do nothing: there is no allowance that could end."""

    def demand(self, plan: Plan) -> Demand:
        """Return that nothing would be asked: nothing is done anyway."""
        return demand(plan)

    async def jobs(self, limit: int) -> tuple[JobView, ...]:
        """Return no job: those of the past are over."""
        return ()[:limit]

    async def records(self, limit: int) -> tuple[AuditRecord, ...]:
        """Return no record: what operators did stands in the log."""
        return ()[:limit]

    def sent(self) -> tuple[SentCall, ...]:
        """Return nothing: nothing is sent anywhere."""
        return ()

    async def steer(self, job: str, wish: str, value: str = "") -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(self.refusal, " ".join(filter(None, (wish, job, value))))

    async def resume(self, job: str) -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(self.refusal, f"resume {job}")

    async def plan(self, request: Request) -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(f"this is the past: nothing in it can be changed ({type(request).__name__})")

    async def execute(self, plan: Plan, consent: Consent) -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(f"this is the past: nothing in it can be changed ({type(plan).__name__} {consent.reason})")
