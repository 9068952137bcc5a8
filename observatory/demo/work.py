"""The work that the swarm does: what a task looks like, how long it takes, how it fails, what follows from it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observatory.model.task import SHARED, NewTask, Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

_MIX = ((Priority.CRITICAL, 4), (Priority.HIGH, 16), (Priority.NORMAL, 55), (Priority.LOW, 25))

_REPOS = ("atlas/api", "atlas/web", "atlas/billing", "nimbus/ingest", "nimbus/search", "core/auth")
_AREAS = ("auth", "billing", "search", "ingest", "session", "webhooks", "quota", "export")
_FILES = ("handlers.py", "models.py", "client.ts", "retry.go", "schema.sql", "limits.py", "cache.rs", "routes.ts")
_ASKS = (
    "make the token refresh survive a clock skew of 30 s",
    "replace the polling loop by a blocking read",
    "add an index for the slow tenant query and a migration that can be rolled back",
    "reject payloads over 1 MB with a clear error",
    "cover the retry path with tests that hold the clock still",
    "stream the export instead of building it in memory",
)
_QUESTIONS = (
    "why did p99 of /search double after Tuesday's release?",
    "which of our tenants still use the v1 webhook format?",
    "compare three rate limiters that need no shared lock",
    "what changed in the upstream client between 4.2 and 5.0?",
)
_MODELS = ("large-3", "medium-3", "small-2")
_CLUSTERS = ("prod-eu", "prod-us", "staging")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work.

    Attributes:
        queue: Where it waits unless it is addressed to somebody.
        weight: How often planners start with it, relative to the others; 0 if it only follows from other work.
        median_s: Median of how long a handler takes, in seconds; the distribution is lognormal.
        flaky: Share of first attempts that fail and succeed later.
        errors: What a failed attempt says, with `{…}` parts that vary.
        then: What may follow: kind and probability.
    """

    queue: str
    weight: int
    median_s: float
    flaky: float
    errors: tuple[str, ...]
    then: tuple[tuple[str, float], ...] = ()


KINDS: Mapping[str, Kind] = {
    "code_task": Kind(
        "coding", 45, 0.5, 0.05,
        ("RateLimitError: model overloaded, retry after {n} s (request req_{hex})",
         "TestFailure: {n} of 214 tests failed in tests/test_{area}.py"),
        (("review", 0.6),),
    ),
    "review": Kind(SHARED, 8, 0.3, 0.02, ("DiffTooLarge: {n}00 files changed in {repo}",), (("deploy", 0.35),)),
    "deploy": Kind(
        "deploy", 0, 0.6, 0.03, ("RegistryError: manifest unknown: {repo}@sha256:{hex}",), (("notify", 0.5),)
    ),
    "research": Kind(
        SHARED, 20, 0.6, 0.05, ("FetchError: 503 from https://docs.example.com/{area}/{hex}",),
        (("summarise", 0.5),),
    ),
    "summarise": Kind(SHARED, 12, 0.25, 0.02, ("ContextOverflow: {n}12034 tokens do not fit into 128000",)),
    "notify": Kind(SHARED, 13, 0.06, 0.02, ("WebhookError: 502 from hooks.example.com (delivery {hex})",)),
    "index": Kind(SHARED, 0, 0.02, 0.0, ("IOError: {hex}",)),
}  # fmt: skip
"""Every kind of work there is; `index` is what a flood consists of."""

UNHANDLED = "translate"
"""A kind that planners ask for now and then although nobody has learnt it."""


def pick_kind(random: Random) -> str:
    """Choose a kind for new work."""
    kinds = [name for name, kind in KINDS.items() if kind.weight]
    return random.choices(kinds, [KINDS[name].weight for name in kinds])[0]


def pick_priority(random: Random) -> Priority:
    """Choose a priority as a working day has them."""
    return random.choices([priority for priority, _ in _MIX], [weight for _, weight in _MIX])[0]


def family_size() -> float:
    """Return how many tasks one new task leads to on average, itself included."""
    started = [(name, kind.weight) for name, kind in KINDS.items() if kind.weight]
    return sum(_descendants(name) * weight for name, weight in started) / sum(weight for _, weight in started)


def new_task(
    kind: str, task_id: str, sender: str, random: Random, *, queue: str = "", parent: Mapping[str, object] | None = None
) -> NewTask:
    """Return a task of *kind* with a payload that reads like real work.

    Args:
        kind: Name of the kind; an unknown one gets the shared queue.
        task_id: Its identity.
        sender: Who publishes it.
        random: Where the details come from.
        queue: Queue to use instead of the kind's own.
        parent: Payload of the task that it follows from, whose repository and branch it keeps.
    """
    known = KINDS.get(kind)
    body = dict(_PAYLOADS.get(kind, _note)(random))
    for key in ("repo", "branch", "pr"):
        if parent is not None and key in parent and key in body:
            body[key] = parent[key]
    return NewTask(
        type=kind,
        payload=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        id=task_id,
        queue=queue or (known.queue if known else SHARED),
        priority=pick_priority(random),
        sender=sender,
        content_type="application/json",
        correlation_id=task_id.partition(".")[0],
    )


def duration_s(kind: str, random: Random) -> float:
    """Return how long a handler takes, between 20 ms and 3 s."""
    median = KINDS[kind].median_s if kind in KINDS else 0.2
    return min(max(median * random.lognormvariate(0.0, 0.7), 0.02), 3.0)


def failure(kind: str, random: Random) -> str:
    """Return what a failed attempt at *kind* says."""
    template = random.choice(KINDS[kind].errors)
    return template.format(
        n=random.randint(2, 9), hex=_hex(random), area=random.choice(_AREAS), repo=random.choice(_REPOS)
    )


def bad_deploy(random: Random) -> str:
    """Return what every deploy says while the cluster is broken: one cause, ever new names."""
    return (
        f"DeployError: helm upgrade failed: timeout after 30s waiting for pod api-{_hex(random, 10)}-{_hex(random, 5)}"
    )


def _descendants(kind: str) -> float:
    return 1 + sum(share * _descendants(name) for name, share in KINDS[kind].then)


def _hex(random: Random, digits: int = 8) -> str:
    return f"{random.getrandbits(4 * digits):0{digits}x}"


def _branch(random: Random) -> str:
    return f"agent/{random.choice(_AREAS)}-{random.randint(100, 999)}"


def _code_task(random: Random) -> dict[str, object]:
    return {
        "repo": random.choice(_REPOS),
        "branch": _branch(random),
        "file": f"src/{random.choice(_AREAS)}/{random.choice(_FILES)}",
        "prompt": random.choice(_ASKS),
        "model": random.choice(_MODELS),
        "max_cost_usd": round(random.uniform(0.05, 1.5), 2),
        "context_tokens": random.randint(2_000, 60_000),
    }


def _review(random: Random) -> dict[str, object]:
    return {
        "repo": random.choice(_REPOS),
        "branch": _branch(random),
        "pr": random.randint(1_000, 9_999),
        "commit": _hex(random, 12),
        "files_changed": random.randint(1, 24),
        "checks": ["tests", "types", "secrets"],
    }


def _deploy(random: Random) -> dict[str, object]:
    return {
        "repo": random.choice(_REPOS),
        "image": f"registry.example.com/{random.choice(_AREAS)}:{_hex(random, 7)}",
        "cluster": random.choice(_CLUSTERS),
        "strategy": "canary" if random.random() < 0.7 else "recreate",
        "replicas": random.randint(2, 12),
        "on_failure": "halt" if random.random() < 0.6 else "retry",
    }


def _research(random: Random) -> dict[str, object]:
    return {
        "question": random.choice(_QUESTIONS),
        "sources": random.sample(["docs", "issues", "traces", "slack", "postmortems"], 2),
        "depth": random.randint(1, 4),
        "model": random.choice(_MODELS),
    }


def _summarise(random: Random) -> dict[str, object]:
    return {
        "document": f"research/{random.choice(_AREAS)}-{_hex(random, 6)}.md",
        "audience": random.choice(("on-call", "product", "everyone")),
        "max_words": random.choice((80, 150, 300)),
    }


def _notify(random: Random) -> dict[str, object]:
    return {
        "channel": random.choice(("#deploys", "#incidents", "#agents")),
        "text": f"{random.choice(_REPOS)}: {random.choice(_AREAS)} is ready for you",
        "mention": random.choice(("", "@oncall")),
    }


def _index(random: Random) -> dict[str, object]:
    return {"repo": random.choice(_REPOS), "shard": random.randint(0, 511), "commit": _hex(random, 12)}


def _note(random: Random) -> dict[str, object]:
    return {"text": random.choice(_ASKS), "language": random.choice(("de", "fr", "ja"))}


_PAYLOADS: Mapping[str, Callable[[Random], dict[str, object]]] = {
    "code_task": _code_task,
    "review": _review,
    "deploy": _deploy,
    "research": _research,
    "summarise": _summarise,
    "notify": _notify,
    "index": _index,
}
