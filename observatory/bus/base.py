"""What the parts of `Bus` stand on: the partitions of the bus, and who speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link
    from observatory.bus.partitions import Partitions
    from observatory.bus.payloads.blobs import BlobStore
    from observatory.model.clock import Clock


class Connected:
    """A connection to one bus, without any verbs.

    Args:
        partitions: The parts of the bus.
        name: Who we are, where an event or a task asks for it.
        clock: Where creation times come from.
        blobs: Where large payloads are stored; None to refuse them.
    """

    def __init__(self, partitions: Partitions, name: str, clock: Clock, blobs: BlobStore | None = None) -> None:
        self.partitions = partitions
        self.name = name
        self.clock = clock
        self.blobs = blobs
        self.skew_ms = 0

    @property
    def connection(self) -> Link:
        """The link to the first partition; elsewhere than on a cluster there is no other."""
        return self.partitions.seat.link

    @property
    def keys(self) -> Keys:
        """Key names of the first partition; elsewhere than on a cluster there is no other."""
        return self.partitions.seat.keys
