"""The demo as a whole: an engine for the moment, a director, and the promise that nothing outlives its owner."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from observatory.demo.journal import LOG, SCRATCH
from observatory.demo.lifeline import encode
from observatory.engine import Engine
from observatory.model.errors import EngineError, ObservatoryError
from observatory.model.text import line

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from observatory.demo.options import DemoOptions

DEFAULT_SECONDS = 20.0
"""How long a headless run publishes if nobody says."""

_PATIENCE_S = 5.0
"""Seconds that the director has to end a swarm when told to stop."""

_GRACE_S = 60.0
"""Seconds that a headless run may take on top of its time before something is wrong with it."""


class Demo:
    """A swarm on an engine of its own; both end with `stop`, or with the process that owns them.

    Args:
        options: How the swarm should be.
    """

    def __init__(self, options: DemoOptions) -> None:
        self.options = options
        self._engine: Engine | None = None
        self._director: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the bus with its password, to connect by.

        Raises:
            EngineError: It is not running.
        """
        return self._started().url

    @property
    def journals(self) -> Path:
        """Directory of what the processes wrote down themselves."""
        return self._started().directory / SCRATCH

    def start(self) -> str:
        """Start engine and swarm and return the address of the bus; blocks until the engine answers.

        The agents arrive by themselves within the next moments.

        Raises:
            EngineError: The engine cannot be started.
        """
        self._engine = Engine.temporary()
        try:
            self._engine.start()
            self._hire(self._engine)
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """End the swarm, then the engine, and remove what they left; blocks. May be called twice."""
        director, self._director = self._director, None
        if director is not None:
            _dismiss(director)
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def wait(self, timeout_s: float) -> None:
        """Wait until a run that has an end is over; the engine goes on and can be read.

        Raises:
            ObservatoryError: The director failed, or does not come to an end in *timeout_s* seconds.
        """
        assert self._director is not None, "start comes first"  # noqa: S101
        try:
            code = self._director.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ObservatoryError(f"the demo did not come to an end within {timeout_s:g} s") from None
        if code != 0:
            raise ObservatoryError(f"the demo's director ended with code {code}: {self._complaint()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> Engine:
        if self._engine is None:
            raise EngineError("the demo is not running")
        return self._engine

    def _hire(self, engine: Engine) -> None:
        root = engine.directory
        scratch = root / SCRATCH
        scratch.mkdir(mode=0o700)
        with (scratch / LOG).open("ab") as log:
            self._director = subprocess.Popen(
                [sys.executable, "-m", "observatory.demo.director"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # The terminal's ctrl+c is for the app; the director hears from it.
            )
        piece = {
            "options": self.options.to_json(),
            "url": engine.url,
            "engine": engine.pid,
            "root": str(root),
        }
        _tell(self._director, encode(piece))

    def _complaint(self) -> str:
        log = self.journals / LOG
        lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        return line(lines[-1]) if lines else "it left no word"


def run_headless(options: DemoOptions) -> dict[str, Any]:
    """Run a swarm for its time, balance its books and return them; blocks.

    Args:
        options: How the swarm should be; without a time it runs for 20 seconds.

    Returns:
        What the issue of the day asks for: options that matter, counts, `lost` and `duplicated`, and `problems` in
        words where two witnesses disagree. All values are plain JSON.

    Raises:
        EngineError: The engine cannot be started.
        ObservatoryError: The swarm cannot be run.
        BusError: The bus cannot be read afterwards.
    """
    # An owner that only wants to watch does not need what the books need.
    from observatory.demo.audit import balance  # noqa: PLC0415

    seconds = options.seconds if options.seconds is not None else DEFAULT_SECONDS
    with Demo(dataclasses.replace(options, seconds=seconds)) as demo:
        demo.wait(seconds + _GRACE_S)
        books = balance(demo.url, demo.journals)
    return {"seed": options.seed, "seconds": seconds, **books}


def _tell(director: subprocess.Popen[bytes], order: bytes) -> None:
    """Send an order; a director that is gone already has nothing to be told."""
    assert director.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):
        director.stdin.write(order)
        director.stdin.flush()


def _dismiss(director: subprocess.Popen[bytes]) -> None:
    _tell(director, encode({"do": "stop"}))
    try:
        director.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        director.kill()
        director.wait()
    if director.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            director.stdin.close()
