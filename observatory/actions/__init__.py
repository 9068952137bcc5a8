"""Every change an operator makes: plan, review, execute, report.

A plan freezes what will be touched and says it in words before anything is written; executing re-checks each
item inside the bus's atomic step and reports what was skipped and why. It implements the `Actions` protocol.
"""

from observatory.actions.bus_actions import BusActions

__all__ = ["BusActions"]
