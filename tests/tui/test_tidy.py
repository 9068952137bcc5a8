"""Garbage is collected while nobody waits for a key."""

from __future__ import annotations

import gc
import weakref

from observatory.model.clock import ManualClock
from observatory.tui.terminal.tidy import QUIET_S, WHOLE_S, Tidier


class _Loop:
    """Something that only the collector can take away."""

    def __init__(self) -> None:
        self.me = self


def test_nothing_is_collected_between_two_keys_and_everything_after_them() -> None:
    """While keys come the collector waits, but not forever; a second after the last one it goes to work."""
    clock = ManualClock()
    touched = clock.monotonic()
    tidier = Tidier(clock, lambda: touched)
    gc.collect()
    garbage = weakref.ref(_Loop())
    assert not tidier.tidy()
    clock.advance(QUIET_S)
    assert tidier.tidy()
    assert garbage() is None
    touched = clock.monotonic()
    clock.advance(QUIET_S / 2)
    assert not tidier.tidy()
    clock.advance(WHOLE_S)
    touched = clock.monotonic()
    assert tidier.tidy()
