"""Keys in order: one is carried out to its end, with whatever it opens, before the next one is looked at."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from textual import events
from textual.app import App
from textual.dom import DOMNode

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

_ROUNDS = 3
"""Times a mark follows a key from the focus up to the app. The key itself takes one; what its command asks for goes
from a list to its screen in the second, and from the screen to the app in the third."""

_LOOK_S = 0.1
"""Seconds after which a mark is looked for that may have gone down with the widget that held it."""


class OrderedKeys(App[int]):
    """An app that holds keys back until the one before was carried out and the screen that it opened has the focus.

    Textual sends a key to what has the focus when it arrives, and looks its command up once it has bubbled back. Keys
    that come faster than a dialog opens would be commands of the screen below: letters of a filter that requeue.
    Keys are held for as long as that takes and no longer; leaving at once never waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: deque[events.Key | events.Paste] = deque()
        self._rounds_left = 0
        self._holder: MessagePump | None = None
        self._screen_seen: object = None
        self._looking = False
        self.touched_at = -math.inf

    async def on_event(self, event: events.Event) -> None:
        """Hold keys and pasted text that come while another key is carried out."""
        if isinstance(event, events.InputEvent):
            self.touched_at = time.monotonic()
        if not isinstance(event, (events.Key, events.Paste)) or event.is_forwarded or self._leaves(event):
            await super().on_event(event)
        elif self._holder is not None:
            self._held.append(event)
            self._look_later()
        else:
            await self._carry_out(event)

    def hold_keys(self) -> None:
        """Hold keys for longer: what the last one asked for is only being done now."""
        self._rounds_left = _ROUNDS + 1

    def _leaves(self, event: events.Event) -> bool:
        """Say whether *event* is the key that leaves from anywhere."""
        bound = self._bindings.key_to_bindings.get(event.key, ()) if isinstance(event, events.Key) else ()
        return any(binding.id == "app.quit" for binding in bound)

    async def _carry_out(self, event: events.Key | events.Paste) -> None:
        self._rounds_left, self._screen_seen = _ROUNDS, self.screen
        self._holder = target = self.focused or self.screen
        await super().on_event(event)
        self._pass_mark(target)

    def _pass_mark(self, holder: MessagePump) -> None:
        """Let the mark wait behind everything that *holder* has to do; past one that is closed it goes to the app."""
        self._holder = holder
        if holder is self or not holder.call_later(self._mark_passed, holder):
            self._holder = self
            self.call_later(self._round_over)

    def _mark_passed(self, holder: MessagePump) -> None:
        if holder is self._holder:
            self._pass_mark(holder.parent if isinstance(holder, DOMNode) and holder.parent is not None else self)

    async def _round_over(self) -> None:
        """Begin another round, or take the next key; a key that changed the screen is followed from there anew."""
        if self.screen is not self._screen_seen:
            self._screen_seen = self.screen
            self.hold_keys()
        self._rounds_left -= 1
        if self._rounds_left > 0:
            self._pass_mark(self.focused or self.screen)
            return
        self._holder = None
        if self._held and self.return_code is None:
            await self._carry_out(self._held.popleft())

    def _look_later(self) -> None:
        if not self._looking:
            self._looking = True
            self.set_timer(_LOOK_S, self._look_for_mark)

    def _look_for_mark(self) -> None:
        """Go on without a mark that was lost with its holder."""
        self._looking = False
        holder = self._holder
        if isinstance(holder, DOMNode) and holder not in (self, self.screen) and not holder.is_attached:
            self._pass_mark(self)
        if self._held:
            self._look_later()
