"""What is written when something went wrong that nobody foresaw: a report of places and masked words, no values."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from observatory import __version__
from observatory.model.text import line
from observatory.settings.paths import state_dir

_SECRETS = (
    (re.compile(r"(://)[^@/\s]*@"), r"\1***@"),
    (re.compile(r"((?:password|passwd|pwd|secret|token|auth)\s*[=:]\s*)[^\s,;&'\"]+", re.IGNORECASE), r"\1***"),
)


def write_report(error: BaseException | None, folder: Path | None = None) -> Path:
    """Write where *error* happened, without any value of any variable.

    Args:
        error: What happened.
        folder: Where the report goes; made with mode 0700 if it is not there. By default `reports_dir`.

    Returns:
        The file, readable by its owner only.

    Raises:
        OSError: It cannot be written.
    """
    folder = folder or reports_dir()
    now = datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"crash-{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(report_text(error, now))
    return path


def reports_dir() -> Path:
    """Return the folder of reports; a private one among temporary files where the user has no home."""
    try:
        return state_dir() / "reports"
    except (OSError, RuntimeError):
        return Path(tempfile.gettempdir()) / f"observatory-reports-{os.getuid()}"


def report_text(error: BaseException | None, now: datetime) -> str:
    """Return versions, the chain of errors and their frames; messages masked, no locals, no source lines."""
    lines = [
        f"time      {now:%Y-%m-%d %H:%M:%S} UTC",
        f"version   observatory {__version__}, textual {_textual()}, Python {platform.python_version()}",
        f"system    {platform.system()} {platform.release()} {platform.machine()}",
        f"command   {line(redact(' '.join(sys.argv)), 500)}",
    ]
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines += ["", line(redact(f"{type(error).__name__}: {error}"), 500)]
        for frame in traceback.extract_tb(error.__traceback__):
            lines.append(f"  {frame.filename}:{frame.lineno} in {frame.name}")
        error = error.__cause__ or error.__context__
    return "\n".join(lines) + "\n"


def redact(text: str) -> str:
    """Return *text* with everything that looks like a credential replaced by `***`."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _textual() -> str:
    try:
        return version("textual")
    except PackageNotFoundError:
        return "?"
