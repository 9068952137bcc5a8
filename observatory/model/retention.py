"""What the bus keeps, and for how long, where nobody settles it: the event log, the dead letters, the mailboxes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from observatory.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Retention:
    """Bounds of one bus; 0 stands for none. Sizes are the engine's own estimate of the memory that a key takes.

    Attributes:
        events_bytes: Bytes of the event log, all days together; its oldest facts go first. Days end after 14 days
            in any case.
        dead_bytes: Bytes of the dead letters; the oldest go first, each with an event.
        dead_days: Days after which a dead letter goes, with an event.
        mailbox_bytes: Bytes of one mailbox, above which sending to it is refused. Nothing unread is dropped before
            its time.

    Raises:
        UsageError: A bound is negative.
    """

    events_bytes: int = 1 << 30
    dead_bytes: int = 256 << 20
    dead_days: int = 90
    mailbox_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise UsageError(f"{field.name}: {getattr(self, field.name)} is negative", "0 stands for no bound")

    @classmethod
    def read(cls, said: Mapping[str, str]) -> Self:
        """Read what the bus says of itself; what it does not say, or cannot be a bound, is at its default."""
        return cls(
            **{field.name: int(said[field.name]) for field in fields(cls) if said.get(field.name, "").isdecimal()}
        )
