"""Addresses of a bus: what a URL says, checked before anything is tried, and how it is shown without its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT_S: Final = 2.0

SENTINEL_PORT: Final = 26379

_SCHEMES = ("redis", "rediss", "unix")
_BEGINNINGS = "redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://"
_EXAMPLE = "for example redis://:password@127.0.0.1:6379/0"
_SENTINEL_EXAMPLE = "for example redis+sentinel://:password@host1:26379,host2:26379,host3:26379/mymaster"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS = frozenset({*_FILES, "ssl_cert_reqs", "ssl_check_hostname"})
_PARAMETERS = frozenset({"db", "username", "password", *_TLS})
_SENTINEL_PARAMETERS = frozenset({"sentinel_username", "sentinel_password"})
_CERT_REQS = ("required", "optional", "none")
_SENTINEL_URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:,@\s]+))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Sentinels:
    """What the URL of a bus behind Sentinels says.

    Attributes:
        hosts: Host and port of each Sentinel.
        name: Name under which they watch the primary.
        engine_url: URL with everything but the place of the engine: scheme, credentials, database, parameters.
        credentials: `username` and `password` for the Sentinels themselves, as far as they are given.
    """

    hosts: tuple[tuple[str, int], ...]
    name: str
    engine_url: str = field(repr=False)
    credentials: dict[str, str] = field(repr=False)


def sentinels_of(url: str) -> Sentinels | None:
    """Read `redis+sentinel://[user:password@]host[:port],…/<name>[/db]` and its `rediss+sentinel` twin.

    Returns:
        What it says; None if *url* is of another scheme.

    Raises:
        UsageError: Hosts or the name of the primary are missing or cannot be read.
    """
    if "+sentinel://" not in url:
        return None
    found = _SENTINEL_URL.fullmatch(url)
    if found is None:
        raise UsageError(f"URL {masked(url)!r} does not begin with {_BEGINNINGS}", _SENTINEL_EXAMPLE)
    user, at, hosts = found["authority"].rpartition("@")
    places = [_HOST.fullmatch(host) for host in hosts.split(",")]
    path = re.fullmatch(r"/(?P<name>[^/]+)(?:/(?P<db>\d*))?", found["path"])
    if path is None:
        raise UsageError(
            f"URL {masked(url)!r} does not end in the name of a primary and, perhaps, a database",
            f"the name is that of `sentinel monitor`; {_SENTINEL_EXAMPLE}",
        )
    read = [(m["six"] or m["name"], int(m["port"] or SENTINEL_PORT)) for m in places if m is not None]
    if len(read) != len(places) or not all(0 < port < 65536 for _, port in read):
        raise UsageError(
            f"URL {masked(url)!r} cannot be read: a host or port is wrong",
            f"{_SENTINEL_EXAMPLE}; write / and @ in a password as %2F and %40",
        )
    given = dict(parse_qsl(found["query"] or ""))
    credentials = {key.removeprefix("sentinel_"): given.pop(key) for key in _SENTINEL_PARAMETERS & given.keys()}
    database = f"/{path['db']}" if path["db"] else ""
    engine_url = f"{found['scheme']}://{user}{at}localhost{database}?{urlencode(given)}"
    return Sentinels(tuple(read), unquote(path["name"]), engine_url, credentials)


def connection_options(url: str, parse: Callable[[str], Any] = parse_url, *, shown: str = "") -> dict[str, Any]:
    """Read *url* into the options of a redis-py connection.

    Args:
        url: Address with credentials and database.
        parse: redis-py's reader of URLs, of its asynchronous or its synchronous half.
        shown: What errors call the URL; *url* without its secrets by default.

    Raises:
        UsageError: The scheme is unknown, or host, port, database or a parameter cannot be read.
    """
    name = f"URL {shown or masked(url)!r}"
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
        options: dict[str, Any] = dict(parse(url))
    except (ValueError, TypeError) as error:
        if url.partition("://")[0] in _SCHEMES:
            # The reader's own words quote parts of the URL, which may be parts of a password.
            raise UsageError(
                f"{name} cannot be read: host, port or database is wrong",
                f"{_EXAMPLE}; write / and @ in a password as %2F and %40",
            ) from error
        raise UsageError(f"{name} does not begin with {_BEGINNINGS}", _EXAMPLE) from error
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"{name} does not begin with {_BEGINNINGS}", _EXAMPLE)
    if unknown := sorted(set(given) - _PARAMETERS):
        raise UsageError(f"{name}: unknown parameter {unknown[0]!r}", f"one of {', '.join(sorted(_PARAMETERS))}")
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path):
        raise UsageError(f"{name} does not end in the number of a database", "for example /0")
    if parts.scheme == "unix" and not options.get("path"):
        raise UsageError(f"{name} names no socket", "for example unix:///run/valkey.sock")
    _check_tls(name, parts.scheme, given)
    return options | {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "driver_info": None,
    }


def masked(url: str) -> str:
    """Return *url* without its secrets, fit to be shown."""
    # An @ in a parameter's secret could pass for the end of the user's: the next step then hides all before it.
    url = re.sub(
        r"(?<=[?&])((?:sentinel_)?password)=([^&]*)", lambda m: f"{m[1]}=***{'@***' if '@' in m[2] else ''}", url
    )
    # Greedy up to the last @: a password that holds @ or / unescaped must not show even in part.
    return line(re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url))


def _check_tls(name: str, scheme: str, given: dict[str, str]) -> None:
    for key in sorted(_TLS & given.keys()):
        if scheme != "rediss":
            raise UsageError(f"{name}: {key} is about TLS", f"write {'rediss' if scheme == 'redis' else 'a TCP'} URL")
        if key in _FILES and not Path(given[key]).is_file():
            raise UsageError(f"{name}: {key} names no file", "a path on this machine, PEM")
    if (reqs := given.get("ssl_cert_reqs", _CERT_REQS[0])) not in _CERT_REQS:
        raise UsageError(f"{name}: ssl_cert_reqs={line(reqs, 32)} is unknown", f"one of {', '.join(_CERT_REQS)}")
