"""What may be handed over as a payload, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from observatory.model.errors import UsageError
from observatory.model.wire import MAX_PAYLOAD

Payload = bytes | str | Mapping[str, Any] | Sequence[Any] | None
"""What is taken as a payload: bytes and text as they are, anything else as JSON."""


def written(payload: Payload, *, most: int = MAX_PAYLOAD) -> tuple[bytes, str]:
    """Return the bytes of *payload*, and their MIME type where it is known.

    Args:
        payload: What was handed over.
        most: Bytes that may be written at most.

    Raises:
        UsageError: It is too large, or cannot be written as JSON.
    """
    kind = ""
    if payload is None:
        body = b""
    elif isinstance(payload, bytes):
        body = payload
    elif isinstance(payload, str):
        body = payload.encode("utf-8", "surrogateescape")
    else:
        kind = "application/json"
        try:
            body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as error:
            raise UsageError(f"payload: cannot be written as JSON: {error}") from error
    if len(body) > most:
        raise UsageError(f"payload: {len(body)} bytes, {most} at most")
    return body, kind
