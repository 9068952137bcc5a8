"""Addresses of a bus: what a URL says, checked before anything is tried, and how it is shown without its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

from observatory.model import secret
from observatory.model.errors import UsageError
from observatory.model.text import line

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT_S: Final = 2.0

SENTINEL_PORT: Final = 26379

ENGINE_PORT: Final = 6379

MAX_PARTITIONS: Final = 256
"""Parts of a bus at most: each worker visits all of them four times a second."""

_SCHEMES = ("redis", "rediss", "unix")
_BEGINNINGS = "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (with TLS: rediss+…)"
_CLUSTER_EXAMPLE = "for example redis+cluster://:password@host1:7000,host2:7000,host3:7000"
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
_CLUSTER_URL = re.compile(
    r"(?P<scheme>rediss?)\+cluster://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?"
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


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """What the URL of a bus on a cluster says.

    Attributes:
        hosts: Host and port of the nodes to ask first; the others are learnt from them.
        engine_url: URL with everything but the places of the nodes: scheme, credentials, parameters.
        partitions: Parts that the bus is to have when it is made, and has if it is there; None to leave it open.
    """

    hosts: tuple[tuple[str, int], ...]
    engine_url: str = field(repr=False)
    partitions: int | None = None


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
    path = re.fullmatch(r"/(?P<name>[^/]+)(?:/(?P<db>\d*))?", found["path"])
    if path is None:
        raise UsageError(
            f"URL {masked(url)!r} does not end in the name of a primary and, perhaps, a database",
            f"the name is that of `sentinel monitor`; {_SENTINEL_EXAMPLE}",
        )
    user, hosts = _places(url, found["authority"], SENTINEL_PORT, _SENTINEL_EXAMPLE)
    given = dict(parse_qsl(found["query"] or ""))
    credentials = {key.removeprefix("sentinel_"): given.pop(key) for key in _SENTINEL_PARAMETERS & given.keys()}
    database = f"/{path['db']}" if path["db"] else ""
    engine_url = f"{found['scheme']}://{user}localhost{database}?{urlencode(given)}"
    return Sentinels(hosts, unquote(path["name"]), engine_url, credentials)


def cluster_of(url: str) -> ClusterAddress | None:
    """Read `redis+cluster://[user:password@]host[:port],…[?partitions=N]` and its `rediss+cluster` twin.

    Returns:
        What it says; None if *url* is of another scheme.

    Raises:
        UsageError: Hosts or the number of partitions are missing or cannot be read.
    """
    if "+cluster://" not in url:
        return None
    found = _CLUSTER_URL.fullmatch(url)
    if found is None:
        raise UsageError(f"URL {masked(url)!r} does not begin with {_BEGINNINGS}", _CLUSTER_EXAMPLE)
    if found["path"] not in {"", "/", "/0"}:
        raise UsageError(f"URL {masked(url)!r}: a cluster has one database only", _CLUSTER_EXAMPLE)
    user, hosts = _places(url, found["authority"], ENGINE_PORT, _CLUSTER_EXAMPLE)
    given = dict(parse_qsl(found["query"] or ""))
    said = given.pop("partitions", None)
    if said is not None and not (said.isdecimal() and 1 <= int(said) <= MAX_PARTITIONS):
        raise UsageError(f"URL {masked(url)!r}: partitions={line(said, 32)}", f"a number from 1 to {MAX_PARTITIONS}")
    engine_url = f"{found['scheme']}://{user}localhost?{urlencode(given)}"
    return ClusterAddress(hosts, engine_url, None if said is None else int(said))


def _places(url: str, authority: str, port: int, example: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Read user (with its @) and hosts; *port* is that of hosts which name none."""
    user, at, hosts = authority.rpartition("@")
    found = [_HOST.fullmatch(host) for host in hosts.split(",")]
    read = [(match["six"] or match["name"], int(match["port"] or port)) for match in found if match is not None]
    if len(read) != len(found) or not all(0 < number < 65536 for _, number in read):
        raise UsageError(
            f"URL {masked(url)!r} cannot be read: a host or port is wrong",
            f"{example}; write / and @ in a password as %2F and %40",
        )
    return f"{user}{at}", tuple(read)


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
    return line(secret.masked(url))


def _check_tls(name: str, scheme: str, given: dict[str, str]) -> None:
    for key in sorted(_TLS & given.keys()):
        if scheme != "rediss":
            raise UsageError(f"{name}: {key} is about TLS", f"write {'rediss' if scheme == 'redis' else 'a TCP'} URL")
        if key in _FILES and not Path(given[key]).is_file():
            raise UsageError(f"{name}: {key} names no file", "a path on this machine, PEM")
    if (reqs := given.get("ssl_cert_reqs", _CERT_REQS[0])) not in _CERT_REQS:
        raise UsageError(f"{name}: ssl_cert_reqs={line(reqs, 32)} is unknown", f"one of {', '.join(_CERT_REQS)}")
