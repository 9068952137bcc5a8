"""Who watches a bus for alerts, made from the settings: rules, sinks, and where acknowledgements are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus import Bus
    from observatory.live.alerts import AlertKeeper
    from observatory.model.alert import Rule
    from observatory.settings import Settings


def keeper_for(settings: Settings, bus: Bus) -> AlertKeeper:
    """Return who watches *bus* by the settings and tells whoever they name, with what was acknowledged before."""
    from observatory.live.alerts import AlertKeeper
    from observatory.live.sinks import CommandSink, EventSink, Sink, WebhookSink
    from observatory.model.clock import SystemClock

    sinks: list[Sink] = []
    if (told := settings.alerts) is not None:
        if told.events and not settings.read_only:
            sinks.append(EventSink(bus))
        if told.webhook:
            sinks.append(WebhookSink(told.webhook))
        if told.command:
            sinks.append(CommandSink(told.command))
    name, file = settings.context or bus.url, memory_file(settings, bus)
    return AlertKeeper(rules_of(settings), bus=name, clock=SystemClock(), sinks=sinks, file=file)


def keeper_of_one_look(settings: Settings, bus: Bus) -> AlertKeeper:
    """Return who tells from a single look what is at its limit, however long it has been, and tells nobody else."""
    from dataclasses import replace

    from observatory.live.alerts import AlertKeeper
    from observatory.model.clock import SystemClock

    rules = [replace(rule, for_s=0.0) for rule in rules_of(settings)]
    return AlertKeeper(rules, bus=bus.url, clock=SystemClock(), file=memory_file(settings, bus))


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """Return the rules that hold."""
    from observatory.model.alert import DEFAULT_RULES

    return DEFAULT_RULES if settings.alerts is None else settings.alerts.rules


def memory_file(settings: Settings, bus: Bus) -> Path:
    """Return where acknowledgements and mutes of this bus are kept; each bus has a file of its own."""
    from hashlib import blake2b

    from observatory.settings import state_dir

    name = settings.context or blake2b(f"{bus.url} {settings.prefix}".encode(), digest_size=8).hexdigest()
    return state_dir() / "alerts" / f"{name}.json"
