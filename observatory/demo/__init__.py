"""A simulated swarm with real incidents, on the real engine, through the real bus client, in real processes.

A director starts and kills agent processes and cuts their links by a seeded script; every process journals what
it did itself, so the books can be balanced against what the bus says.

What a caller needs is `DemoOptions` from here, and `Demo` and `run_headless` from `observatory.demo.swarm`; they
are kept apart so that an agent process does not load what only its grandparent needs.
"""

from observatory.demo.options import INCIDENTS, DemoOptions

__all__ = ["INCIDENTS", "DemoOptions"]
