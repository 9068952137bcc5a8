"""Screen 9: the server behind the bus: is it safe, is it full, what costs it time, who is connected."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical

from observatory.model.errors import ObservatoryError
from observatory.model.health import Severity
from observatory.model.text import line
from observatory.tui.commands import bindings
from observatory.tui.drawing import format as fmt
from observatory.tui.rows.engine import ClientTable, CommandTable, FindingTable, SlowTable
from observatory.tui.screens.base import DataScreen, Step
from observatory.tui.screens.lanes import fit_height
from observatory.tui.sheets import Sheet
from observatory.tui.table import Table
from observatory.tui.widgets.payload import PayloadPane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from observatory.model.engine import EngineReport
    from observatory.model.snapshot import Snapshot
    from observatory.tui.sheets import Fact

RENEW_MS = 3_000
"""Milliseconds of server time after which the server is asked again; its answer is some tens of kilobytes."""

_FULL = (0.7, 0.8)
"""Shares of its memory limit from which on memory is a warning, and an error."""


class EngineScreen(DataScreen):
    """Findings with their fixes, facts, and three tables of which a small terminal shows one."""

    heading: ClassVar[str] = "Engine"
    AUTO_FOCUS: ClassVar[str | None] = "#findings"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reading", "engine")]

    def body(self) -> ComposeResult:
        """Findings across, below them facts beside the tables."""
        yield FindingTable(id="findings")
        with Horizontal(id="halves"):
            yield PayloadPane("what the server says of itself", title="Server", id="facts")
            with Vertical(id="costs"):
                yield CommandTable(id="commands")
                yield SlowTable(self.desk.clock, id="slow")
                yield ClientTable(id="clients")

    def begin(self) -> None:
        """Begin with the commands in front."""
        self._asked_ms = -RENEW_MS
        self._front = 0
        self._turn_up()

    def steps(self, snapshot: Snapshot) -> Sequence[Step]:
        """Ask the server now and then; let ages move on."""
        return (Step(partial(self._follow, snapshot)), Step(self.query_one(SlowTable).look))

    def has_selection(self) -> bool:
        """There is a row under the cursor of the table that has the focus."""
        return isinstance(self.focused, Table) and self.focused.selected is not None

    def action_reload(self) -> None:
        """Ask the server now."""
        self.aside("ask the server", self._read)

    def action_turn(self) -> None:
        """Bring the next table to the front, where there is room for one only."""
        self._front = (self._front + 1) % 3
        self._turn_up()
        self._tables()[self._front].focus()

    def _tables(self) -> tuple[Table[object], ...]:
        return tuple(self.query_one("#costs").query(Table))

    def _turn_up(self) -> None:
        for place, table in enumerate(self._tables()):
            table.set_class(place == self._front, "-front")

    def _follow(self, snapshot: Snapshot) -> None:
        if snapshot.at_ms - self._asked_ms >= RENEW_MS and not self.desk.is_old:
            self._asked_ms = snapshot.at_ms
            self.action_reload()

    async def _read(self) -> None:
        findings = self.query_one(FindingTable)
        try:
            report = await self.desk.source.engine()
        except ObservatoryError as error:
            findings.say(f"✖ {line(str(error), 200)} (r reads again)", "error")
            return
        wrong = [finding for finding in report.findings if finding.severity is not Severity.OK]
        findings.say("")
        findings.tell(f"{len(report.findings) - len(wrong)} of {len(report.findings)} checks found nothing wrong")
        findings.set_all(wrong)
        fit_height(findings, max(self.size.height // 4, 2))
        self.query_one(PayloadPane).show(report_sheet(report))
        self.query_one(CommandTable).set_all(report.commands)
        refused = f"▲ not allowed to ask: {line(', '.join(report.missing), 120)}" if report.missing else ""
        for table, rows in ((self.query_one(SlowTable), report.slow), (self.query_one(ClientTable), report.clients)):
            table.say(refused if rows is None else "", "warning")
            table.set_all(rows or ())  # type: ignore[arg-type]


def report_sheet(report: EngineReport) -> Sheet:
    """Return the facts of a server: what runs, memory, disk, replicas, clients."""
    server, link = report.server, report.replication
    uptime = fmt.age(server.uptime_s, absent=fmt.UNKNOWN)
    runs = f"{line(server.product, 40)} {line(server.version, 40)}, {line(server.mode, 20)}, up {uptime}"
    clients = f"{fmt.count(report.connected)} connected of {fmt.count(report.clients_limit)}"
    facts: list[Fact] = [
        ("server", runs, "strong"),
        ("does", f"{fmt.count(server.ops_per_s)} commands/s, {fmt.count(server.commands)} in all", "text"),
        ("process", f"{server.process or fmt.UNKNOWN} on {line(server.system, 60) or fmt.UNKNOWN}", "muted"),
        *_memory(report),
        *_disk(report),
        ("clients", clients, "text"),
        ("role", _role(report), "error+" if link.link_up is False else "text"),
    ]
    for replica in link.replicas:
        behind = f"{fmt.size(replica.behind)} behind, heard {fmt.age(replica.silent_s, absent='?')} ago"
        ink = "text" if replica.state == "online" else "warning+"
        facts.append(("replica", f"{line(replica.address, 60)} {line(replica.state, 20)}, {behind}", ink))
    return Sheet("engine", tuple(facts), None, "{}")


def _memory(report: EngineReport) -> list[Fact]:
    memory = report.memory
    share = memory.used / memory.limit if memory.used is not None and memory.limit else None
    limit = "no limit" if memory.limit == 0 else f"limit {fmt.size(memory.limit)}"
    full = f" ({share:.0%})" if share is not None else ""
    ink = "text" if share is None or share < _FULL[0] else "warning+" if share < _FULL[1] else "error+"
    ratio = fmt.UNKNOWN if memory.fragmentation is None else f"{memory.fragmentation:.2f}"
    return [
        ("memory", f"{fmt.size(memory.used)}{full}, {limit}, {line(memory.policy, 30) or fmt.UNKNOWN}", ink),
        ("", f"peak {fmt.size(memory.peak)}, resident {fmt.size(memory.resident)} ({ratio}x)", "muted"),
        ("evicted", f"{fmt.count(memory.evicted)} keys", "error+" if memory.evicted else "muted"),
    ]


def _disk(report: EngineReport) -> list[Fact]:
    disk = report.persistence
    aof = {True: "append-only file", False: "no append-only file", None: "append-only file: ?"}[disk.aof]
    wrote = "" if not disk.aof else ", written" if disk.aof_ok else ", the last write FAILED"
    size = f", {fmt.size(disk.aof_bytes)}" if disk.aof else ""
    busy = ", being rewritten" if disk.rewriting else ""
    saved = "FAILED" if disk.save_ok is False else fmt.date_time(disk.saved_ms)
    broken = disk.aof_ok is False or disk.save_ok is False
    return [
        ("disk", f"{aof}{size}{wrote}{busy}", "error+" if broken else "warning" if disk.aof is False else "text"),
        ("", f"snapshot {saved}, {fmt.count(disk.changes)} changes since", "muted"),
        *((("", "it reads its data and answers nothing yet", "warning+"),) if disk.loading else ()),
    ]


def _role(report: EngineReport) -> str:
    link = report.replication
    if link.primary:
        state = {True: "up", False: "DOWN", None: fmt.UNKNOWN}[link.link_up]
        return f"replica of {line(link.primary, 60)}, link {state}"
    number = len(link.replicas)
    return f"primary with {number} replica{'' if number == 1 else 's'}" if link.role else fmt.UNKNOWN
