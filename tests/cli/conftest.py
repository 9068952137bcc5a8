"""The real command as a subprocess, in a home of its own, and a real engine to point it at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)

    def refused(self, code: int, *words: str) -> None:
        """Assert one clear line and perhaps a hint on stderr, that *words* occur in them, and no traceback."""
        lines = self.err.splitlines()
        assert self.code == code, self
        assert lines, self
        assert lines[0].startswith("observatory: "), self
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("  hint: ")), self
        assert not self.out, self
        for word in words:
            assert word in self.err, self


@dataclass(frozen=True)
class Cli:
    """The `observatory` command of this checkout, away from the settings of whoever runs the tests."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, stdin: str | None = None, **environment: str) -> Outcome:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self.env(**environment),
            cwd=self.home,
        )
        assert "Traceback" not in done.stderr + done.stdout, done
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start it with pipes and leave it running."""
        return subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env(**environment),
            cwd=self.home,
        )

    def command(self, *words: str) -> list[str]:
        """Return its command line."""
        return [sys.executable, "-m", "observatory", *words]

    def env(self, **more: str) -> dict[str, str]:
        """Return its environment."""
        return {**os.environ, **self.environment, **more}


@pytest.fixture
def cli() -> Cli:
    """Return the command in an empty home, with no bus configured."""
    return Cli(Path.home())


@pytest.fixture
def bus_cli(bus_url: str) -> Cli:
    """Return the command attached to an empty bus."""
    return Cli(Path.home(), {"OBSERVATORY_URL": bus_url})


@pytest.fixture
def raw(bus_url: str) -> Iterator[redis.Redis]:
    """Return a plain client, for what a foreign agent or a careless hand does to the bus."""
    with redis.Redis.from_url(bus_url) as client:
        yield client


def entries(raw: redis.Redis, stream: str) -> list[tuple[str, dict[str, bytes]]]:
    """Return what stands in a stream: entry ids, and fields by name."""
    rows: Any = raw.xrange(stream)
    return [(ident.decode(), {name.decode(): value for name, value in fields.items()}) for ident, fields in rows]
