"""Every change an operator makes: plan, review, execute, report, undo.

A plan freezes what will be touched and says it in words before anything is written; executing re-checks each
item inside the bus's atomic step and reports what was skipped and why. What is executed is a job that the bus
remembers, so that anybody can go on with it after a crash, and anybody can take it back. `BusActions` implements the
`Actions` protocol, and is the only way from a screen or a verb of the command line to a change of the bus; `verbs` has
a module for each kind of thing that can be changed.
"""

from observatory.actions.bus_actions import BusActions
from observatory.actions.guard import Guard

__all__ = ["BusActions", "Guard"]
