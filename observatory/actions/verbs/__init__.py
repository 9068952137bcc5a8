"""The verbs, a module for each kind of thing: what a request touches, and what takes back what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from observatory.actions.verbs import letters, pending, places, send, tasks, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observatory.actions.verbs.verb import ByHand, Inverse, Verb

VERBS: Final[Mapping[type, Verb[Any]]] = {
    verb.request: verb
    for verb in (*send.VERBS, *letters.VERBS, *tasks.VERBS, *pending.VERBS, *places.VERBS, *tell.VERBS)
}
"""What drafts a plan for each type of request."""

BY_HAND: Final[Mapping[str, ByHand]] = {"send": send.publish, "resend": send.resend, "tell": tell.tell}
"""Steps that are no single script; all others stand in `bus.moves.steps`."""

INVERSES: Final[Mapping[str, Inverse]] = {
    "send": send.sent_back,
    "resend": send.resent_back,
    "requeue": letters.requeued_back,
    "withdraw": letters.withdrawn_back,
    "trash": letters.shelved_back,
    "restore": letters.shelved_back,
    "cancel": tasks.cancelled_back,
    "uncancel": tasks.uncancelled_back,
    "claim": pending.claimed_back,
    "dead-letter": pending.buried_back,
    "pause": places.pauses_back,
    "resume": places.pauses_back,
    "drain": places.pauses_back,
    "reopen": places.pauses_back,
    "reset": places.reset_back,
    "bounds": places.bounds_back,
}
"""What takes back what was done, by verb; what is not here cannot be taken back."""
