"""How full a mailbox is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.bus.reads.entries import page_of_entries
from observatory.bus.reads.groups import groups_of
from observatory.model.listing import Ask, Mailbox

if TYPE_CHECKING:
    from observatory.bus.keys import Keys
    from observatory.bus.links.link import Link


async def mailbox_of(link: Link, keys: Keys, agent: str) -> Mailbox | None:
    """Return how full the mailbox of *agent* is; None if there is none.

    Raises:
        BusError: It cannot be read.
    """
    stream = keys.mailbox(agent)
    oldest = await page_of_entries(link, keys, stream, Ask(newest_first=False, limit=1))
    groups = await groups_of(link, stream)
    if not oldest.total and not groups:
        return None
    first = oldest.items[0].at_ms if oldest.items else None
    return Mailbox(oldest.total or 0, sum(group.view.pending for group in groups) if groups else None, first)
