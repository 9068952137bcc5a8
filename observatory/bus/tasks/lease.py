"""Leases: a thread with a connection of its own renews what this process holds.

A blocked event loop must not lose its leases at once, and a wedged process must lose them in the end: the thread
renews only while the loop has shown life not long ago.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from redis.exceptions import NoScriptError, RedisError

from observatory.bus.links.link import encoded
from observatory.bus.scripts import script

if TYPE_CHECKING:
    import redis

    from observatory.bus.tasks.delivery import Delivery

LOOP_GRACE_S: Final = 20.0
"""Seconds that the event loop may be stuck before its leases are let go."""

RENEWALS_PER_LEASE: Final = 4

RENEWED: Final = 1
CANCEL_REQUESTED: Final = 2

log = logging.getLogger(__name__)

Holder = tuple[str, str]
"""Group and consumer."""

Held = Callable[[], Iterable["Delivery"]]
Told = Callable[["Delivery", int], object]


class LeaseKeeper:
    """Renews the leases of every worker of one process.

    Args:
        lease_s: Seconds that a lease lasts; it is renewed four times as often.
    """

    def __init__(self, *, lease_s: float) -> None:
        self._clients: dict[int | None, redis.Redis] = {}
        self._interval_s = lease_s / RENEWALS_PER_LEASE
        self._holders: dict[Holder, tuple[Held, Told]] = {}
        self._alive_at = time.monotonic()
        self._stopped = threading.Event()
        self._poked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observatory-leases", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; what is held expires by itself."""
        self._stopped.set()
        self._poked.set()

    def alive(self) -> None:
        """Say that the event loop runs; call it at least once a second from the loop."""
        self._alive_at = time.monotonic()

    def keep_pace(self, lease_s: float) -> None:
        """Renew often enough for a lease of *lease_s* seconds as well."""
        if lease_s / RENEWALS_PER_LEASE < self._interval_s:
            self._interval_s = lease_s / RENEWALS_PER_LEASE
            self._poked.set()

    def register(self, holder: Holder, held: Held, told: Told) -> None:
        """Renew for *holder* what *held* returns, and tell the answer for each delivery.

        Args:
            holder: Group and consumer.
            held: Called in the renewing thread: what is in flight now.
            told: Called in the renewing thread with a delivery and 0 (lost), 1 (renewed) or 2 (cancel requested).
        """
        self._holders[holder] = (held, told)

    def forget(self, holder: Holder) -> None:
        """Stop renewing for *holder*."""
        self._holders.pop(holder, None)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._poked.wait(self._interval_s)
            self._poked.clear()
            if self._stopped.is_set():
                break
            if time.monotonic() - self._alive_at > LOOP_GRACE_S:
                continue
            away: set[int | None] = set()
            for holder, (held, told) in list(self._holders.items()):
                try:
                    self._renew_all(holder, list(held()), told, away)
                except Exception:
                    log.exception("leases of %s were not renewed this time", holder[1])
        for client in self._clients.values():
            client.close()

    def _renew_all(self, holder: Holder, deliveries: list[Delivery], told: Told, away: set[int | None]) -> None:
        """Renew in every partition but those of *away*, which have not answered just now."""
        groups: dict[int | None, list[Delivery]] = {}
        for delivery in deliveries:
            groups.setdefault(delivery.partition.number, []).append(delivery)
        for number in groups.keys() - away:
            try:
                self._renew(holder, groups[number], told)
            except (RedisError, OSError):
                # The engine is away; a lease outlives three missed renewals, and the link says what is wrong.
                away.add(number)

    def _renew(self, holder: Holder, deliveries: list[Delivery], told: Told) -> None:
        partition = deliveries[0].partition
        if (client := self._clients.get(partition.number)) is None:
            client = self._clients[partition.number] = partition.link.blocking_client()
        chosen = script("renew", flags=partition.link.flags)
        args: list[bytes] = [encoded(part) for part in (1, partition.keys.delayed, partition.keys.prefix, *holder)]
        for delivery in deliveries:
            row: tuple[str | int, ...] = (
                delivery.stream,
                delivery.task.entry_id,
                delivery.deliveries,
                delivery.task.id,
            )
            args += map(encoded, row)
        try:
            answers = client.execute_command("EVALSHA", chosen.sha, *args)
        except NoScriptError:
            answers = client.execute_command("EVAL", chosen.source, *args)
        for delivery, answer in zip(deliveries, answers, strict=True):
            told(delivery, answer)
