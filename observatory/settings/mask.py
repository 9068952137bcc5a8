"""Secrets in addresses, made unreadable before anyone sees them."""

from __future__ import annotations

import re

HIDDEN = "***"
"""Stands where a secret was."""

# Greedy up to the last @: a password that should have been quoted, and was not, is hidden whole.
_USERINFO = re.compile(r"^(?P<scheme>[\w+.-]+://)(?P<user>[^:@]*):(?P<password>.*)@", re.DOTALL)
_SOCKET = re.compile(r"^unix:///", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<key>[?&;][^=&;]*(?:pass|pwd|secret|token|auth)[^=&;]*=)[^&;]*", re.IGNORECASE)


def mask(url: str) -> str:
    """Return *url* with its password, in whatever place, shown as `***`; works on what is not a URL too."""
    shown = url if _SOCKET.match(url) else _USERINFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", url)
    return _PARAMETER.sub(rf"\g<key>{HIDDEN}", shown)
