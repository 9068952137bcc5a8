"""Engines of these tests' own: each on its own directory, gone afterwards however the test ended."""

from __future__ import annotations

import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from observatory.engine import directory as files
from observatory.engine.directory import State

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data directory that does not exist yet, short enough for a socket; its server is ended afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="obs-"))
    folder = parent / "data"
    yield folder
    if files.is_locked(folder) and (state := State.load(folder)) and state.serving:
        state.holder.send(signal.SIGKILL)
    shutil.rmtree(parent, ignore_errors=True)


def answers(url: str) -> bool:
    """Say whether a server answers at *url*."""
    with redis.Redis.from_url(url, retry=None, socket_timeout=2) as client, suppress(redis.ConnectionError):
        return bool(client.ping())
    return False
