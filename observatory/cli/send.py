"""`observatory send`: publish one task."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from observatory.cli.acting import on_actions
from observatory.cli.attach import about
from observatory.cli.output import note, out, out_json
from observatory.cli.parser import add_verb
from observatory.model.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from observatory.actions import BusActions
    from observatory.cli.parser import Verbs
    from observatory.model.task import NewTask

DETAILS = """\
examples:
  observatory send deploy --payload '{"service": "api"}'
  observatory send code_task --to pink --priority critical --payload @task.json
  jq -c . task.json | observatory send deploy --queue deploy --payload - --ttl 10m
"""


def register(verbs: Verbs) -> None:
    """Add `send` to the command line."""
    parser = add_verb(verbs, "send", run, summary="publish one task", details=DETAILS)
    parser.add_argument("type", metavar="TYPE", help="what kind of work it is; agents choose their handler by it")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--to", default="", metavar="AGENT", help="only this agent may take it")
    where.add_argument("--queue", default="", metavar="QUEUE", help="queue it waits in (shared)")
    parser.add_argument("--priority", default="normal", metavar="P", help="critical, high, normal (default) or low")
    parser.add_argument(
        "--ttl", default="", metavar="TIME", help="time after which it is stale, as in 90, 30s, 5m, 1h30m (1h)"
    )
    parser.add_argument("--delay", default="", metavar="TIME", help="time to wait before it becomes due (none)")
    parser.add_argument(
        "--ordering-key", default="", metavar="KEY", help="tasks with the same key are handled one after another"
    )
    parser.add_argument(
        "--payload", default="", metavar="JSON", help="the work itself: JSON or plain text, @file, or - for stdin"
    )
    parser.add_argument("--json", action="store_true", help="print what was published as JSON")
    parser.add_argument("--confirm", default="", metavar="WORD", help="name of the bus, where it is protected")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the audit")


def run(args: argparse.Namespace) -> int:
    """Publish the task that the command line describes."""
    task = _task(args)

    async def publish(actions: BusActions) -> int:
        from observatory.model.plan import Consent, SendTask

        plan = await actions.plan(SendTask(task))
        target = plan.items[0].target
        with about(f"cannot send to {target}", unsure=f"it may have arrived nevertheless, as task {task.id}"):
            report = await actions.execute(plan, Consent(args.confirm, args.reason))
        for item in report.skipped:
            note(f"{item.id}: {item.why}")
        if not report.done:
            return 1
        entry = None if task.delay_s else report.entries[0]
        if args.json:
            out_json({"id": task.id, "stream": target, "entry_id": entry, "delay_s": task.delay_s})
        else:
            out(f"{task.id} → {target} {entry or f'in {task.delay_s:g} s'}")
        return 0

    return on_actions(args, publish, writes=True)


def _task(args: argparse.Namespace) -> NewTask:
    from dataclasses import replace

    from observatory.model.draft import TaskDraft

    drafted = TaskDraft.parse(
        type=args.type,
        to=f"@{args.to.removeprefix('@')}" if args.to else args.queue,
        priority=args.priority,
        ttl=args.ttl,
        delay=args.delay,
        payload=payload_of(args.payload),
    )
    return replace(drafted, ordering_key=args.ordering_key)


def payload_of(text: str) -> str:
    """Take the payload from the command line, from a file or from stdin.

    Raises:
        UsageError: The file cannot be read, or is not text.
    """
    from pathlib import Path

    if text == "-":
        name, read = "stdin", sys.stdin.buffer.read
    elif text.startswith("@"):
        name, read = text[1:], Path(text[1:]).read_bytes
    else:
        return text
    try:
        return read().decode().strip()
    except OSError as error:
        raise UsageError(f"payload: {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"payload: {name}: byte {error.start} is not UTF-8 text") from None
