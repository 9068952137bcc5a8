"""Roles for the engine's access control: the least commands with which each kind of client does its duties.

Commands are granted one by one, never by category: `@stream` alone would hold XTRIM and XGROUP DESTROY. What a
script calls is checked against the rights of its caller, so the commands inside scripts are listed too, and a
script gives nobody more than this. Redis 7 or Valkey; each node of a deployment needs the users.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSWORD: Final = "<password>"  # noqa: S105 (a placeholder is the opposite of a secret)
"""Stands where the password goes; nothing here ever holds a real one."""

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Grant:
    """One command that a role may send.

    Attributes:
        command: As ACL rules name it, with its subcommand: `xinfo|groups`.
        why: Which duty needs it.
    """

    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Role:
    """What one kind of client may do.

    Attributes:
        name: Its name.
        purpose: Its duties, in one sentence.
        grants: Its commands, each once.
    """

    name: str
    purpose: str
    grants: tuple[Grant, ...]

    @property
    def commands(self) -> frozenset[str]:
        """Its commands."""
        return frozenset(grant.command for grant in self.grants)


_ANYONE = (
    Grant("info", "the engine's version, when connecting; its vitals"),
    Grant("time", "every script reads the engine's clock"),
    Grant("hget", "publish: is the id known? promote, delayed: the entry that waits"),
)

MESSAGES: Final = (
    Grant("xread", "wait for broadcasts and replies"),
    Grant("xrevrange", "newest broadcast"),
    Grant("xinfo|stream", "hear: was a broadcast removed unread?"),
    Grant("evalsha_ro", "request: does anybody serve the queue? one script that cannot write"),
    Grant("eval_ro", "the script itself, where the engine does not know it yet"),
    Grant("memory|usage", "send, retain: how large are the mailbox, the log, the dead letters?"),
    Grant("hexists", "send: was the agent ever heard of?"),
    Grant("pexpire", "the stream of replies ends by itself"),
    Grant("unlink", "the stream of replies, when the client closes"),
)
"""What agents need besides, to send messages, to tell all, and to ask."""

CLUSTER: Final = (
    Grant("cluster|slots", "which node serves what"),
    Grant("hsetnx", "the partitions of a new bus"),
    Grant("cluster|info", "doctor: is every slot served?"),
    Grant("publish", "ring for workers that wait at another partition; send: ring for gateways"),
)
"""What is needed besides on a cluster, and does no harm elsewhere; who only watches makes no bus and rings no bell."""

_AGENT = (
    *_ANYONE,
    *(grant for grant in CLUSTER if grant.command != "cluster|info"),
    Grant("evalsha", "every change is one script"),
    Grant("eval", "the script itself, where the engine does not know it yet"),
    Grant("xadd", "publish, dead letters, heartbeats, events"),
    Grant("xlen", "publish: is the lane full?"),
    Grant("sadd", "publish, take: register a named queue"),
    Grant("hset", "records, what waits for its time, last heartbeat"),
    Grant("hgetall", "the record of a task, to see what became of it"),
    Grant("hmget", "start, settle: read the record"),
    Grant("hdel", "promote, beat: what waited, what is history"),
    Grant("hincrby", "count events"),
    Grant("hscan", "beat: find processes that said nothing for a day"),
    Grant("expire", "records and logs end by themselves"),
    Grant("exists", "is any task cancelled?"),
    Grant("sismember", "is this task cancelled?"),
    Grant("srem", "a cancelled task is settled"),
    Grant("zadd", "delay, retry, beat"),
    Grant("zrem", "promote, beat"),
    Grant("zrange", "take: when is the next delayed task due?"),
    Grant("zrangebylex", "take: what has an ordering key, and its turn"),
    Grant("zscore", "recover: is a task still in the order of its key? peek: is the worker a sleeper?"),
    Grant("hrandfield", "recover: look after ordering keys whose first task was deleted"),
    Grant("zrangebyscore", "promote what is due; find silent agents"),
    Grant("xreadgroup", "take, and wait for work"),
    Grant("xgroup|create", "take: make the group of a lane"),
    Grant("xgroup|delconsumer", "leave: remove the own consumer when it holds nothing"),
    Grant("xpending", "settle, renew: is the delivery still ours? find lost replies"),
    Grant("xrange", "retry, dead letter: the entry as it stands"),
    Grant("xack", "settle"),
    Grant("xdel", "settle: delete what no group wants any more"),
    Grant("xinfo|groups", "settle: is ours the only group?"),
    Grant("xinfo|consumers", "find consumers that are long gone; request: does anybody serve the queue?"),
    Grant("xtrim", "let go of what all groups of a lane have settled"),
    Grant("xclaim", "renew a lease"),
    Grant("xautoclaim", "take over the work of the dead"),
    Grant("client|id", "name the connection that waits for work"),
    Grant("client|unblock", "stop: end a wait without losing what arrives"),
    Grant("subscribe", "hear of cancels and of lanes that go on"),
    *MESSAGES,
)

DURABLE: Final = (
    Grant("waitaof", "publish durably: is it on the disk of the server?"),
    Grant("wait", "publish durably: do the replicas have it?"),
)
"""What durable publishing needs besides. Redis before 7.2 knows no WAITAOF, and refuses a rule that names it."""

STEERING: Final = (
    Grant("publish", "cancel, pause: tell the workers at once"),
    Grant("xgroup|setid", "move the position of a group"),
)
"""What operators need for what only they do; on a cluster agents have it too."""

_OBSERVER = (
    *_ANYONE,
    *(grant for grant in CLUSTER if grant.command not in {"hsetnx", "publish"}),
    Grant("evalsha_ro", "one look at the whole bus is one script that cannot write"),
    Grant("eval_ro", "the script itself, where the engine does not know it yet"),
    Grant("scan", "look, doctor: find queues and keys"),
    Grant("smembers", "look: registered queues"),
    Grant("xlen", "length of a lane, of the dead letters"),
    Grant("xinfo|groups", "look, doctor: groups of a lane"),
    Grant("xinfo|stream", "look, doctor: entries ever added, newest id"),
    Grant("xpending", "look: what each consumer holds"),
    Grant("xrange", "oldest waiting entry, entries of a lane, one dead letter, heartbeats"),
    Grant("xrevrange", "dead letters and events, newest first"),
    Grant("xread", "follow the event log"),
    Grant("hgetall", "last heartbeats, the record of a task"),
    Grant("hmget", "look: event counts"),
    Grant("zcard", "how much waits for its time"),
    Grant("zrange", "delayed: what waits for its time"),
    Grant("type", "doctor: keys of a wrong type"),
    Grant("memory|usage", "doctor: how large are the log and the dead letters?"),
    Grant("sismember", "audit: is an entry of a lane only marked, to be dropped when it is taken?"),
    Grant("xinfo|consumers", "audit: does anybody take from a lane who writes no events?"),
    Grant("hscan", "audit: counters of events, in pages"),
    Grant("zscan", "audit: what waits for its time, in pages that lose nothing while it moves"),
)

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        role.name: role
        for role in (
            Role("agent", "publishes tasks, takes and settles them, sends heartbeats", _AGENT),
            Role(
                "operator",
                "everything that agents and observers do; requeues, claims and cancels tasks, pauses lanes",
                tuple({grant.command: grant for grant in (*_OBSERVER, *_AGENT, *STEERING)}.values()),
            ),
            Role("observer", "sees everything and changes nothing", _OBSERVER),
        )
    }
)
"""The roles by name."""


def role_named(name: str) -> Role:
    """Return the role *name*.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return ROLES[name]
    except KeyError:
        raise UsageError(f"there is no role {line(name, 64)!r}", f"one of {', '.join(ROLES)}") from None


def durable(role: Role) -> Role:
    """Return *role* with the right to publish durably."""
    return replace(role, grants=(*role.grants, *DURABLE))


def rules(role: Role, prefix: str, password: str = PASSWORD) -> tuple[str, ...]:
    """Return the rules of ACL SETUSER that make a user of *role* and nothing more, on a cluster as elsewhere.

    Args:
        role: Its role.
        prefix: Prefix of the bus's keys, as `Keys` checks it.
        password: Its password.
    """
    granted = (f"+{command}" for command in sorted(role.commands))
    # Keys of a partition are tagged `{<prefix>:<number>}`, what is known of all of them `{<prefix>}`.
    keys = (f"~{prefix}:*", f"~{{{prefix}}}:*", f"~{{{prefix}:*}}:*")
    return ("reset", "on", f">{password}", *keys, f"&{prefix}:*", f"&{{{prefix}:*}}:*", *granted)


def set_user(role: Role, prefix: str, user: str) -> str:
    """Return the command that makes *user* one of *role*, with a placeholder for the password.

    It can be pasted into redis-cli and, behind `redis-cli`, into a shell.

    Raises:
        UsageError: *user* cannot name one.
    """
    if not _USER.fullmatch(user):
        raise UsageError(
            f"user {line(user, 64)!r} cannot be one", "use letters, digits, dots, dashes, underscores and @"
        )
    # Quoted for shells, where > | & and ~ mean something else.
    quoted = (rule if re.fullmatch(r"[\w+]+", rule) else f'"{rule}"' for rule in rules(role, prefix))
    return " ".join(("ACL SETUSER", user, *quoted))
