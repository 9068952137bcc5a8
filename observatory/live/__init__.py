"""The present: one bounded sample of the bus a tick becomes an immutable `Snapshot`, with rates and latencies.

It reads through `bus` and implements the `Source` protocol for time = now. Losing the link yields the last
snapshot marked as old, never an exception and never a made-up number.
"""

from observatory.live.document import snapshot_document
from observatory.live.source import LiveSource, take_snapshot

__all__ = ["LiveSource", "snapshot_document", "take_snapshot"]
