"""The partitions of a bus that is out of reach by design: whatever needs them is refused, and told why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from observatory.bus.links.address import masked
from observatory.bus.partitions import Partition, Partitions
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.bus.remote.channel import Channel
    from observatory.model.snapshot import LinkView


class Elsewhere(Partitions):
    """Stands where the partitions of a bus would be, that is reached through a gateway.

    Args:
        channel: The way to the gateway.
    """

    def __init__(self, channel: Channel) -> None:
        self.url = masked(channel.url)
        self.topology = None
        self._channel = channel

    def __iter__(self) -> Iterator[Partition]:
        self._refuse()

    def __len__(self) -> int:
        raise self._refusal()

    @property
    def seat(self) -> Partition:
        """No partition."""
        self._refuse()

    def of(self, text: str) -> Partition:  # noqa: ARG002 - as every partition here, it is refused
        """No partition."""
        self._refuse()

    def of_stream(self, stream: str) -> Partition:  # noqa: ARG002
        """No partition."""
        self._refuse()

    def numbered(self, number: int | None) -> Partition | None:  # noqa: ARG002
        """No partition."""
        self._refuse()

    def nearest_first(self, text: str) -> list[Partition]:  # noqa: ARG002
        """No partition."""
        self._refuse()

    @property
    def view(self) -> LinkView:
        """How the link to the gateway stands."""
        return self._channel.view

    async def open(self, *, deadline_s: float = 10.0) -> None:
        """Reach the gateway once."""
        await self._channel.open(deadline_s=deadline_s)

    async def close(self) -> None:
        """Close the way to the gateway."""
        await self._channel.close()

    def _refuse(self) -> NoReturn:
        raise self._refusal()

    def _refusal(self) -> UsageError:
        return UsageError("this cannot be done through a gateway", "connect to the engine itself: redis://…")
