"""What is written when something went wrong that nobody foresaw: a report without values, only places."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path

from observatory import __version__
from observatory.model.errors import ObservatoryError

_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@'\"]*@"), "***@"),
    (re.compile(r"(?i)((?:password|passwd|secret|token|auth)\s*[=:]\s*)[^\s&'\",;]+"), r"\1***"),
)


def write_report(error: BaseException) -> ObservatoryError:
    """Write a report of an unforeseen *error* and return the error that a person should read.

    The report has the traceback without any local variable, and addresses in it are masked.
    """
    text = _report(error)
    kind = type(error).__name__
    try:
        path = _save(text)
    except OSError as trouble:
        return ObservatoryError(f"unexpected {kind}", f"no report could be written: {trouble.strerror or trouble}")
    return ObservatoryError(f"unexpected {kind}, a defect of Observatory", f"what happened is described in {path}")


def redact(text: str) -> str:
    """Mask what looks like a secret in *text*: the user part of addresses, values of password-like names."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _report(error: BaseException) -> str:
    trace = traceback.TracebackException.from_exception(error, capture_locals=False)
    parts = (
        f"observatory {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}\n",
        f"command: {' '.join(sys.argv)}\n\n",
        *trace.format(),
    )
    return redact("".join(parts))


def _save(text: str) -> Path:
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"crash-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _folder() -> Path:
    try:
        from observatory.settings import state_dir

        return state_dir() / "reports"
    except Exception:
        return Path(tempfile.gettempdir()) / f"observatory-reports-{os.getuid()}"
