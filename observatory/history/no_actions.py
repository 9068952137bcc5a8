"""The `Actions` of the past: none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from observatory.model.errors import RefusedError

if TYPE_CHECKING:
    from observatory.model.plan import Plan, Request


class NoActions:
    """Refuses every change in words."""

    async def plan(self, request: Request) -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(f"this is the past: nothing in it can be changed ({type(request).__name__})")

    async def execute(self, plan: Plan) -> NoReturn:
        """Refuse.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(f"this is the past: nothing in it can be changed ({type(plan).__name__})")
