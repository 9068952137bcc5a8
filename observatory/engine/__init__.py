"""The embedded Valkey: find the binary, start it on a data directory, hold the lock, stop it cleanly.

This room runs a server process and never speaks to the data in it; whoever wants data connects by `bus` with
the URL that a running engine gives. Three ways in: `Engine` is a server that this process owns and stops,
`shared` is one that several apps use and the last one stops, `start_detached` leaves one running by itself.
"""

from observatory.engine.binary import find_binary
from observatory.engine.config import size
from observatory.engine.server import Engine
from observatory.engine.sharing import RunningEngine, running, shared, start_detached, stop_running
from observatory.engine.vitals import Vitals, vitals

__all__ = [
    "Engine",
    "RunningEngine",
    "Vitals",
    "find_binary",
    "running",
    "shared",
    "size",
    "start_detached",
    "stop_running",
    "vitals",
]
