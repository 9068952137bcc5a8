"""Everything about the server behind the bus that an operator asks for when something is wrong with it.

`None` means that the server does not say, or that the user may not ask; `EngineReport.missing` names the rights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observatory.model.health import Finding


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What runs.

    Attributes:
        product: `valkey`, `redis` or what it calls itself.
        version: Its version.
        mode: `standalone`, `sentinel` or `cluster`.
        uptime_s: Seconds since it started.
        process: Its process id.
        system: Its operating system.
        ops_per_s: Commands per second.
        commands: Commands since it started.
        cpu_s: Seconds of processor time it used, in user and system mode.
    """

    product: str = ""
    version: str = ""
    mode: str = ""
    uptime_s: int | None = None
    process: int | None = None
    system: str = ""
    ops_per_s: int | None = None
    commands: int | None = None
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """How its memory is used, in bytes.

    Attributes:
        used: In use.
        peak: Most that ever was in use.
        resident: What the system gives it.
        limit: maxmemory; 0 means none.
        policy: What it does when full.
        fragmentation: Resident over used.
        evicted: Keys that it threw away.
    """

    used: int | None = None
    peak: int | None = None
    resident: int | None = None
    limit: int | None = None
    policy: str = ""
    fragmentation: float | None = None
    evicted: int | None = None


@dataclass(frozen=True, slots=True)
class PersistenceInfo:
    """What reaches the disk.

    Attributes:
        aof: It writes an append-only file.
        aof_ok: The last write to that file succeeded.
        aof_bytes: Size of that file.
        rewriting: That file is being rewritten.
        changes: Changes since the last snapshot.
        saved_ms: When the last snapshot was made, ms since the epoch.
        save_ok: The last snapshot succeeded.
        loading: It reads its data and answers nothing yet.
    """

    aof: bool | None = None
    aof_ok: bool | None = None
    aof_bytes: int | None = None
    rewriting: bool | None = None
    changes: int | None = None
    saved_ms: int | None = None
    save_ok: bool | None = None
    loading: bool | None = None


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """A replica of it.

    Attributes:
        address: Host and port.
        state: `online`, or what it is doing.
        behind: Bytes that it has not got yet.
        silent_s: Seconds since it last reported.
    """

    address: str
    state: str
    behind: int | None
    silent_s: int | None


@dataclass(frozen=True, slots=True)
class ReplicationInfo:
    """Its part in the replication.

    Attributes:
        role: `master` or `slave`, in the server's word.
        primary: Address of its primary; empty if it is one.
        link_up: A replica's link to its primary.
        replicas: Its replicas.
    """

    role: str = ""
    primary: str = ""
    link_up: bool | None = None
    replicas: tuple[ReplicaInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A connection to it.

    Attributes:
        key: Its id.
        name: Name it gave itself; empty if none.
        address: Where it comes from.
        age_s: Seconds since it connected.
        idle_s: Seconds since it last asked for anything.
        command: What it asked for last.
        blocked: It waits for work.
        memory: Bytes it costs; None where the server does not say.
        user: As whom it came.
    """

    key: str
    name: str
    address: str
    age_s: int
    idle_s: int
    command: str
    blocked: bool
    memory: int | None
    user: str = ""


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """A command that took longer than the server's threshold.

    Attributes:
        key: Its number in the log.
        at_ms: When it ran, ms since the epoch.
        took_ms: How long it took.
        words: The command and its arguments, shortened.
        client: Address and name of who sent it.
    """

    key: str
    at_ms: int
    took_ms: float
    words: tuple[str, ...]
    client: str = ""


@dataclass(frozen=True, slots=True)
class CommandCost:
    """What one kind of command costs it.

    Attributes:
        name: The command, as `xadd` or `xinfo|groups`.
        calls: Calls since the statistics were reset.
        total_ms: Processor time of all of them.
        failed: Calls that failed or were refused.
    """

    name: str
    calls: int
    total_ms: float
    failed: int


@dataclass(frozen=True, slots=True)
class EngineReport:
    """The server at one time.

    Attributes:
        at_ms: Its time, ms since the epoch.
        server: What runs.
        memory: Its memory.
        persistence: Its disk.
        replication: Its replicas.
        connected: Connected clients.
        clients_limit: Clients that it accepts at most.
        clients: Connections, those that cost most memory first; None if the user may not see them.
        slow: Slow commands, newest first; None if the user may not see them.
        commands: What its commands cost, most expensive first.
        findings: What `observatory doctor` finds, worst first.
        missing: ACL rules that are missing for what is None.
    """

    at_ms: int
    server: ServerInfo = field(default_factory=ServerInfo)
    memory: MemoryInfo = field(default_factory=MemoryInfo)
    persistence: PersistenceInfo = field(default_factory=PersistenceInfo)
    replication: ReplicationInfo = field(default_factory=ReplicationInfo)
    connected: int | None = None
    clients_limit: int | None = None
    clients: tuple[ClientRow, ...] | None = None
    slow: tuple[SlowCommand, ...] | None = None
    commands: tuple[CommandCost, ...] = ()
    findings: tuple[Finding, ...] = ()
    missing: tuple[str, ...] = ()
