"""How much it takes to agree to a plan, and whether somebody did: the same in every place where plans are reviewed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from observatory.model.plan.plan import Reversal

if TYPE_CHECKING:
    from observatory.model.plan.plan import Plan

THRESHOLD: Final = 100
"""Items above which the count has to be typed."""


class Level(IntEnum):
    """How much it takes."""

    NONE = 0
    """It is done at once, and can be undone."""
    ASK = 1
    """It is shown, and somebody says yes."""
    TYPE = 2
    """Somebody types a word that only the plan can tell, and says why."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What it takes to agree to one plan.

    Attributes:
        level: How much.
        word: What has to be typed; empty where nothing has.
        why: Why so much, in words; empty where it is asked of nobody.
    """

    level: Level
    word: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody said to a plan.

    Attributes:
        typed: What was typed.
        reason: Why it is done.
    """

    typed: str = ""
    reason: str = ""


NO_WORDS: Final = Consent()
"""Somebody agreed, and said nothing besides."""


def demand(plan: Plan, *, protected: str = "") -> Demand:
    """Return what it takes to agree to *plan*.

    Args:
        plan: The plan.
        protected: Name of the bus, if what is done to it has to be confirmed in writing.
    """
    count = len(plan.items)
    if not count:
        return Demand(Level.NONE)
    if protected:
        return Demand(Level.TYPE, protected, "this bus is protected")
    if plan.reversal is Reversal.NONE and plan.verb not in HARMLESS:
        return Demand(Level.TYPE, str(count) if count > 1 else plan.verb, "it cannot be undone")
    if count > THRESHOLD:
        return Demand(Level.TYPE, str(count), f"it concerns more than {THRESHOLD:,} things")
    return Demand(Level.ASK if count > 1 or plan.warnings or plan.verb in ASKED else Level.NONE)


def missing(need: Demand, consent: Consent) -> str:
    """Say what *consent* lacks for what is needed, in words; empty if nothing."""
    if need.level < Level.TYPE:
        return ""
    if consent.typed != need.word:
        return f"{need.why}: type {need.word} to confirm"
    return "" if consent.reason.strip() else f"{need.why}: say why"


HARMLESS: Final = frozenset({"tell", "hand back", "send"})
"""Verbs that cannot be undone, and that nobody needs to undo."""

ASKED: Final = frozenset({"claim", "hand back", "dead-letter", "reset", "bounds", "remove consumers"})
"""Verbs that are never done without a look at the plan."""
