"""Processes by identity: a pid alone is never trusted, because the kernel gives it to someone else later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid together with what tells its process apart from a later one of the same number.

    Attributes:
        pid: The process id.
        born: Boot and start time of the process, opaque; compare only.
    """

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of the process that has *pid* now; None if there is none."""
        born = _born(pid)
        return cls(pid, born) if born else None

    def alive(self) -> bool:
        """Say whether this very process still exists (a zombie that nobody has waited for counts)."""
        return _born(self.pid) == self.born

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process.

        Args:
            number: The signal to send.

        Returns:
            False if it is gone; a process that was given the same pid later is never signalled.
        """
        try:
            if sys.platform == "linux":
                # The descriptor pins the process, so it cannot change between the check and the signal.
                handle = os.pidfd_open(self.pid)
                try:
                    if not self.alive():
                        return False
                    signal.pidfd_send_signal(handle, number)
                finally:
                    os.close(handle)
            else:
                if not self.alive():
                    return False
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _born(pid: int) -> str | None:
    return _born_by_proc(pid) if sys.platform == "linux" else _born_by_ps(pid)


def _born_by_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The name in parentheses may hold anything; the start time is the 20th field after it.
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"


def _born_by_ps(pid: int) -> str | None:
    try:
        found = subprocess.run(
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None
