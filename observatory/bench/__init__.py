"""Measuring, as a product feature: the product beside the raw engine, in alternation, in the same run.

`frame` knows how to measure honestly (medians, spread, disturbed runs repeated); each other module is one
benchmark that `observatory bench NAME` runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BENCHMARKS: Mapping[str, str] = {
    "actions": "observatory.bench.actions",
    "bus": "observatory.bench.bus",
    "history": "observatory.bench.history",
    "gateway": "observatory.bench.gateway",
    "tui": "observatory.bench.tui",
}
"""Module of each benchmark, by name; it has an `async def figures(quick: bool) -> list[Figure]`."""
