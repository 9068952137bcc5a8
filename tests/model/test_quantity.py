"""Quantities are read as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from observatory.model.quantity import count, duration_s, moment, size

NOW = datetime(2026, 2, 6, 14, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("2d", 172800)],
)
def test_durations(text: str, seconds: float) -> None:
    """Units may be combined; a bare number is seconds."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("-2", -2), ("0.5", 0.5), ("10_000", 10_000), ("10k", 10_000), ("70%", 0.7)]
)
def test_counts(text: str, number: float) -> None:
    """Thousands may be written short, and shares as percents."""
    assert count(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("512", 512), ("512B", 512), ("256KB", 262_144), ("256k", 262_144), ("1.5MiB", 1_572_864)]
)
def test_sizes(text: str, number: float) -> None:
    """A thousand bytes are 1024, with and without the i."""
    assert size(text) == number


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        ("14:03", NOW.replace(minute=3), MINUTE),
        ("14:03:05", NOW.replace(minute=3, second=5), MINUTE / 60),
        ("23:50", NOW.replace(hour=23, minute=50) - timedelta(days=1), MINUTE),
        ("-5m", NOW - 5 * MINUTE, timedelta()),
        ("+1h", NOW + 60 * MINUTE, timedelta()),
        ("now", NOW, timedelta()),
        ("2026-02-05", datetime(2026, 2, 5, tzinfo=UTC), timedelta(days=1)),
        ("2026-02-05T11:45", datetime(2026, 2, 5, 11, 45, tzinfo=UTC), MINUTE),
        ("2026-02-05T11:45:00Z", datetime(2026, 2, 5, 11, 45, tzinfo=UTC), MINUTE / 60),
        ("2026-02-05T11:45:00+01:00", datetime(2026, 2, 5, 10, 45, tzinfo=UTC), MINUTE / 60),
        (f"{NOW_MS}-0", NOW, timedelta(milliseconds=1)),
    ],
)
def test_times(text: str, start: datetime, length: timedelta) -> None:
    """A time means the stretch that it names; a time of day is the latest one that is not in the future."""
    low, high = moment(text, now_ms=NOW_MS)
    assert low == start.timestamp() * 1000
    assert high - low == length.total_seconds() * 1000


def test_a_time_without_a_zone_is_in_that_of_the_reader() -> None:
    """At 14:30 in Greenwich it is 15:30 two zones east, and 15:10 was twenty minutes ago there."""
    east = timezone(timedelta(hours=1))
    assert moment("15:10", now_ms=NOW_MS, zone=east).low == NOW_MS - 20 * 60_000
    assert moment("2026-02-06T15:10", now_ms=NOW_MS, zone=east).low == NOW_MS - 20 * 60_000


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "-", "99999-01-01", "٣", "1e5", "9" * 400])
def test_what_is_none_is_said(text: str) -> None:
    """What cannot be read is refused with what may be written instead, by all of them."""
    with pytest.raises(ValueError, match=r"is not a time|longer than"):
        moment(text, now_ms=NOW_MS)
    for read in (count, size):
        with pytest.raises(ValueError, match="is not a"):
            read(text)
