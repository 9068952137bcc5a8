"""What operators change, one atomic step an item, and what is written down of it: jobs, and the audit.

Each step is done once for a job, however often it is asked for, and only by the executor that holds the job. What is to
be changed, how fast and whether at all is decided elsewhere: nothing here plans, and nothing here asks.
"""

from observatory.bus.links.sent import SentLog, logged, new_log
from observatory.bus.moves.calls import Moves
from observatory.bus.moves.journal import Hold, Holding, Journal
from observatory.bus.moves.steps import Moved, Stamp

__all__ = ["Hold", "Holding", "Journal", "Moved", "Moves", "SentLog", "Stamp", "logged", "new_log"]
