"""What the engine's refusals mean: which may be asked again, which are final, and what a person is told of each."""

from __future__ import annotations

import re
import ssl
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from observatory.bus.links.connections import PlaceError
from observatory.model.errors import BusError, BusUnreachableError
from observatory.model.text import line

_REFUSED = (AuthenticationError, AuthorizationError)
FINAL = (*_REFUSED, InvalidResponse)


class UnblockedError(ResponseError):
    """UNBLOCKED: a read that waited was ended by the engine, because it is no longer the one to ask."""


ELSEWHERE = (AskError, TryAgainError, ClusterDownError, UnblockedError)
"""A node is not, or not yet, the one to ask: MOVED, ASK, TRYAGAIN, CLUSTERDOWN, MASTERDOWN, UNBLOCKED."""

TRANSIENT = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, *ELSEWHERE, OSError)
"""Failures after which the same call may succeed: the engine is away, loading, or no longer the one to ask."""


class NotEnoughReplicasError(ResponseError):
    """NOREPLICAS: nothing was written, because fewer replicas are connected than min-replicas-to-write asks for."""


class DiskRefusedError(ResponseError):
    """MISCONF: nothing was written, because the engine cannot write its data to disk."""


REFUSES_WRITES = (NotEnoughReplicasError, DiskRefusedError)
REPEATABLE = (*TRANSIENT, NotEnoughReplicasError)
_WRAPPED: Final = tuple(
    # In words: a script of before Redis 7 wraps the error of a command in one of its own.
    (re.compile(rf"(?:^|-){code} (.*)", re.DOTALL), kind)
    for code, kind in (
        ("NOREPLICAS", NotEnoughReplicasError),
        ("MISCONF", DiskRefusedError),
        ("READONLY", ReadOnlyError),
        ("UNBLOCKED", UnblockedError),
    )
)

_MEANINGS: Final[tuple[tuple[tuple[type[BaseException], ...], type[BusError], str, str], ...]] = (
    (_REFUSED, BusUnreachableError, "{url} refuses the credentials: {reason}", "check user and password in the URL"),
    (
        (InvalidResponse,),
        BusUnreachableError,
        "what listens at {url} is not a Redis",
        "check host and port in the URL",
    ),
    (
        (ReadOnlyError,),
        BusUnreachableError,
        "{url} leads to a replica, it refuses writes",
        "name the primary in the URL, or the Sentinels",
    ),
    (
        (MovedError, AskError, TryAgainError),
        BusUnreachableError,
        "a part of the bus is on its way to another node: {reason}",
        "it answers when it has arrived; CLUSTER SLOTS shows who serves what",
    ),
    (
        (ClusterDownError,),
        BusUnreachableError,
        "the cluster at {url} is down: {reason}",
        "look at CLUSTER INFO: every slot needs a working node",
    ),
    (TRANSIENT, BusUnreachableError, "cannot reach {url}: {reason}", "is the engine running there?"),
    (
        (NoPermissionError,),
        BusError,
        "the user in the URL may not do this: {reason}",
        "ask for the right, or use another user",
    ),
    (
        (NotEnoughReplicasError,),
        BusError,
        "the primary refuses writes: {reason}",
        "start replicas, or look at their link; CONFIG SET min-replicas-to-write 0 goes on without them",
    ),
    ((DiskRefusedError,), BusError, "the engine refuses writes: {reason}", "look at its disk and its log"),
    ((OutOfMemoryError,), BusError, "the engine is out of memory: {reason}", "raise maxmemory, or let lanes drain"),
)

_TLS_HINTS: Final = (
    ("CERTIFICATE_REQUIRED", "the server wants to know who asks: ssl_certfile=… and ssl_keyfile=… in the URL"),
    ("mismatch", "use the name in the server's certificate, or ssl_check_hostname=no in the URL"),
    ("CERTIFICATE_VERIFY_FAILED", "ssl_ca_certs=… in the URL names the file of who signed the server's certificate"),
    ("", "does TLS listen on that port? redis:// is without TLS"),
)
"""What TLS's words contain, and the next step."""


def root(error: BaseException) -> BaseException:
    """Return what *error* is about.

    redis-py turns whatever happens while connecting into a plain connection error, and knows no class for some of the
    engine's refusals.
    """
    while not isinstance(error, PlaceError) and isinstance(error.__cause__, RedisError):
        error = error.__cause__
    if isinstance(error, ResponseError) and not isinstance(error, ReadOnlyError):
        for pattern, kind in _WRAPPED:
            if found := pattern.search(str(error)):
                return kind(found[1])
    return error


def is_final(error: BaseException) -> bool:
    """Say whether asking again would be answered the same."""
    final = error.final if isinstance(error, PlaceError) else isinstance(error, FINAL)
    return final or _tls_problem(error) is not None


def _tls_problem(error: BaseException | None) -> ssl.SSLError | None:
    """Return what TLS says is wrong, if that is why there is no connection."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error if error is None or error.reason else None


def translated(error: BaseException, url: str, key: str = "") -> BusError:
    """Return *error* of redis-py as one that a person can act on; *key* is what was asked about, if known."""
    reason = line(str(error)) or type(error).__name__
    if (tls := _tls_problem(error)) is not None:
        words = tls.verify_message if isinstance(tls, ssl.SSLCertVerificationError) else str(tls.reason)
        hint = next((hint for part, hint in _TLS_HINTS if part in f"{tls.reason} {words}"), _TLS_HINTS[-1][1])
        return BusUnreachableError(f"TLS with {url} fails: {line(words)}", hint)
    if isinstance(error, PlaceError):
        return BusUnreachableError(f"cannot reach {url}: {reason}", error.hint)
    for kinds, kind, problem, hint in _MEANINGS:
        if isinstance(error, kinds):
            # With TLS on one side only, neither understands that this is what is wrong.
            tcp = kinds is TRANSIENT and url.startswith(("redis://", "rediss://"))
            also = " rediss:// is with TLS, redis:// without" if tcp else ""
            return kind(problem.format(url=url, reason=reason), hint + also)
    if "ACL failure in script" in reason:
        return BusError(f"the user in the URL may not do this: {reason}", "ask for the right, or use another user")
    if "WRONGTYPE" in reason:
        what = f"the key {line(key, 120)}" if key else "a key of the bus"
        return BusError(f"{what} holds something else: {reason}", "look with TYPE, rename or delete it")
    return BusError(f"the engine answered: {reason}")
