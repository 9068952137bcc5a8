"""Collecting garbage while nobody waits for a key.

Every line that is painted leaves reference cycles behind (a Textual `Strip` caches itself), thousands of objects a
second. Left to the collector's own times they either stall a frame or, with thresholds that never do, pile up for
hours: 95 MB instead of 141 after a few minutes of use were measured.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.model.clock import Clock

TIDY_S: Final = 5.0
"""Seconds between two looks at whether to collect; what died young goes each time."""

WHOLE_S: Final = 20.0
"""Seconds between two collections that take everything: 10 to 50 ms, by how much is on the screens."""

QUIET_S: Final = 1.0
"""Seconds without input after which nobody waits for a frame."""

_THRESHOLDS: Final = (10_000, 10, 1_000)
"""Young objects are looked at often, a few milliseconds each time; old ones only when it is quiet."""


class Tidier:
    """Owns the garbage collector of this process.

    Args:
        clock: The clock of the app.
        touched: Says when the last input came, on the clock's monotonic time.
    """

    def __init__(self, clock: Clock, touched: Callable[[], float]) -> None:
        self._clock = clock
        self._touched = touched
        self._whole_at = clock.monotonic()

    @staticmethod
    def settle() -> None:
        """Take what start-up allocated out of the collector's sight, so that later collections are short."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)

    async def keep_tidy(self) -> None:
        """Collect now and then, until cancelled."""
        while True:
            await asyncio.sleep(TIDY_S)
            self.tidy()

    def tidy(self) -> bool:
        """Collect, unless somebody is at the keys and it can wait; return whether it did."""
        now = self._clock.monotonic()
        due = now - self._whole_at >= WHOLE_S
        if not due and now - self._touched() < QUIET_S:
            return False
        if due:
            self._whole_at = now
        gc.collect(2 if due else 1)
        return True
