"""Messages that travel between the feed, the app and the screens; facts are named in the past tense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from observatory.model.snapshot import Snapshot


class SnapshotArrived(Message):
    """The source yielded a snapshot; of several that wait, only the newest counts.

    Attributes:
        snapshot: What it yielded.
        generation: Which source it was; what a source says after it was replaced is dropped.
    """

    def __init__(self, snapshot: Snapshot, generation: int) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.generation = generation

    def can_replace(self, message: Message) -> bool:
        """Let a newer snapshot take the place of one that still waits."""
        return isinstance(message, SnapshotArrived)
