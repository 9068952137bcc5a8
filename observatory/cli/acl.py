"""`observatory acl`: the command that makes a user with the least rights for a role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.cli.attach import settings_for
from observatory.cli.output import out, out_json
from observatory.cli.parser import add_verb

if TYPE_CHECKING:
    import argparse

    from observatory.cli.parser import Verbs

DETAILS = """\
roles:
  agent     publishes tasks, takes and settles them, sends heartbeats
  operator  what agents and observers do; requeues and cancels tasks, pauses lanes
  observer  sees everything and changes nothing

Put a password in the place of <password>, run the line on every node as a user who may, then ACL SAVE or
CONFIG REWRITE. --json names for each command the duty that needs it.

example:
  observatory acl agent --user pink
"""


def register(verbs: Verbs) -> None:
    """Add `acl` to the command line."""
    parser = add_verb(
        verbs, "acl", run, summary="print the command that makes a user with the least rights", details=DETAILS
    )
    parser.add_argument("role", metavar="ROLE", help="agent, operator or observer")
    parser.add_argument("--user", metavar="NAME", help="name of the user (that of the role)")
    parser.add_argument(
        "--durable", action="store_true", help="may publish durably too; needs an engine that has WAITAOF (Redis 7.2)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the line; nothing is sent anywhere."""
    from observatory.bus.care.acl import durable, role_named, set_user
    from observatory.bus.keys import Keys

    prefix = Keys(settings_for(args).prefix).prefix
    role = durable(role_named(args.role)) if args.durable else role_named(args.role)
    user = args.user or role.name
    command = set_user(role, prefix, user)
    if args.json:
        out_json(
            {
                "role": role.name,
                "purpose": role.purpose,
                "user": user,
                "keys": f"{prefix}:*",
                "channels": f"{prefix}:*",
                "commands": {grant.command: grant.why for grant in sorted(role.grants, key=lambda one: one.command)},
                "command": command,
            }
        )
    else:
        out(command)
    return 0
