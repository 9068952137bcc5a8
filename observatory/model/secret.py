"""Secrets in addresses, made unreadable before anyone sees them."""

from __future__ import annotations

import re

HIDDEN = "***"
"""Stands where a secret was."""

_PARAMETER = re.compile(r"([?&;][^=&;]*(?:pass|pwd|secret|token|auth)[^=&;]*=)([^&;]*)", re.IGNORECASE)
# Greedy up to the last @: a password that should have been quoted, and was not, is hidden whole.
_USER = re.compile(r"(?<=://)(?!/)([^:@]*):.*@", re.DOTALL)


def masked(url: str) -> str:
    """Return *url* with its password, in whatever place, shown as `***`; works on what is not a URL too."""
    # An @ in the secret of a parameter could pass for the end of the user's: the next step then hides all before it,
    # and must find nothing behind it.
    shown = _PARAMETER.sub(lambda m: m[1] + HIDDEN + (f"@{HIDDEN}" if "@" in m[2] else ""), url)
    return _USER.sub(rf"\1:{HIDDEN}@", shown)
