"""Deployments of several servers, as real processes on free ports of the loopback interface."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import redis

from observatory.engine import find_binary

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence
    from types import TracebackType

PASSWORD = "primary-secret"
SENTINEL_PASSWORD = "watcher-secret"
NAME = "mymaster"

QUIET = ("--daemonize", "no", "--save", "", "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always")


@dataclass(frozen=True)
class Certificates:
    """Keys and certificates made for one test run, PEM files in one folder.

    Attributes:
        directory: Where they are: `ca`, `stranger` (another authority), `server` and `client`, each `.crt` and `.key`.
    """

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        """Make an authority, a server's certificate for 127.0.0.1, a client's, and another authority."""
        made = cls(directory)
        for name in ("ca", "stranger"):
            made._openssl(name, "-addext", "basicConstraints=critical,CA:TRUE")
        for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
            signer = ("-CA", made.file("ca.crt"), "-CAkey", made.file("ca.key"))
            made._openssl(name, *signer, "-addext", extension, "-addext", "basicConstraints=critical,CA:FALSE")
        return made

    def file(self, name: str) -> str:
        """Path of one file."""
        return str(self.directory / name)

    @property
    def server_settings(self) -> tuple[str, ...]:
        """Settings of a server that wants to know its clients, but for the ports."""
        return (
            *("--tls-cert-file", self.file("server.crt"), "--tls-key-file", self.file("server.key")),
            *("--tls-ca-cert-file", self.file("ca.crt"), "--tls-replication", "yes"),
        )

    @property
    def client_options(self) -> dict[str, Any]:
        """Options of redis-py for a client that may enter; as parameters of a URL they have the same names."""
        return {
            "ssl_ca_certs": self.file("ca.crt"),
            "ssl_certfile": self.file("client.crt"),
            "ssl_keyfile": self.file("client.key"),
        }

    def _openssl(self, name: str, *words: str) -> None:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", self.file(f"{name}.key"), "-out", self.file(f"{name}.crt"))
        command = ("openssl", "req", "-x509", "-days", "2", "-subj", f"/CN={name}", *curve, *files, *words)
        subprocess.run(command, check=True, capture_output=True)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def wait_until(predicate: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Wait until *predicate* is true; a server that does not answer yet counts as "not yet"."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            if predicate():
                return
        except (redis.RedisError, OSError) as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s:g} s: {what} (last: {last!r})")


class Server:
    """One server process.

    Args:
        port: Where it listens.
        words: Its command line, behind the program.
        directory: Its working directory.
        options: How to speak to it: password, TLS.
        binary: The program; the embedded engine's by default.
    """

    def __init__(
        self, port: int, words: Sequence[str], directory: Path, options: dict[str, Any], binary: Path | None = None
    ) -> None:
        self.port = port
        self._command = [str(binary or find_binary()), *words]
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._directory / f"{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._directory, stdout=log, stderr=log)
        wait_until(lambda: self.ask("PING"), f"server on {self.port} answers")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *words: str | int) -> Any:
        """Send one command, and return its reply as it came."""
        with redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True, **self._options) as client:
            client.response_callbacks.clear()
            return client.execute_command(*words)

    @property
    def role(self) -> str:
        """Its role in the replication: `master` or `slave`."""
        return str(self.ask("ROLE")[0])


class Rig:
    """Several servers that are started, used and ended together, in a directory of their own."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="rig-"))

    @property
    def servers(self) -> Sequence[Server]:
        """All of them, in the order in which they start."""
        raise NotImplementedError

    def assemble(self) -> None:
        """Make one thing of the servers that were just started, and wait until it is whole."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            self.assemble()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, and remove what they wrote."""
        for server in reversed(self.servers):
            server.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


class SentinelRig(Rig):
    """A primary with its replicas, and the Sentinels that watch it.

    Args:
        replicas: How many replicas.
        sentinels: How many Sentinels; more than half of them decide.
        tls: Speak TLS only; needs *binary*, because the embedded engine cannot.
        binary: The program; the embedded engine's by default.
    """

    def __init__(
        self, *, replicas: int = 2, sentinels: int = 3, tls: Certificates | None = None, binary: Path | None = None
    ) -> None:
        super().__init__()
        self._tls = tls
        self._binary = binary
        ports = free_ports(1 + replicas + sentinels)
        first, *others = ports[: 1 + replicas]
        shared: tuple[str, ...] = (*QUIET, "--requirepass", PASSWORD, "--masterauth", PASSWORD)
        shared += ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        words = {
            port: [*self._listen(port), *shared, "--dbfilename", f"{port}.rdb", "--appenddirname", f"{port}.aof"]
            for port in (first, *others)
        }
        for port in others:
            words[port] += ["--replicaof", f"127.0.0.1 {first}"]
        self.engines = [self._server(port, line, PASSWORD) for port, line in words.items()]
        self.sentinels = [self._sentinel(port, first, sentinels // 2 + 1) for port in ports[1 + replicas :]]

    @property
    def servers(self) -> Sequence[Server]:
        """The engines, then the Sentinels that watch them."""
        return (*self.engines, *self.sentinels)

    def assemble(self) -> None:
        """Wait until a failover is possible."""
        self.wait_until_whole()

    @property
    def url(self) -> str:
        """Where a client finds it."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        parameters = urlencode(
            {"sentinel_password": SENTINEL_PASSWORD, **(self._tls.client_options if self._tls else {})}
        )
        return f"{'rediss' if self._tls else 'redis'}+sentinel://:{PASSWORD}@{hosts}/{NAME}?{parameters}"

    @property
    def primary(self) -> Server:
        """The engine that most Sentinels name now."""
        named = [sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1] for sentinel in self.sentinels]
        port = int(max(set(named), key=named.count))
        return next(engine for engine in self.engines if engine.port == port)

    def wait_until_whole(self) -> None:
        """Wait until every replica follows and every Sentinel knows all of them, so that it may fail over."""
        others = len(self.sentinels) - 1

        def whole() -> bool:
            states = [sentinel.ask("SENTINEL", "MASTER", NAME) for sentinel in self.sentinels]
            known = all(
                int(state["num-other-sentinels"]) == others
                and int(state["num-slaves"]) == len(self.engines) - 1
                and state["flags"] == "master"
                for state in states
            )
            following = str(self.primary.ask("INFO", "replication")).count("state=online")
            return known and following == len(self.engines) - 1

        wait_until(whole, "replicas and Sentinels know each other")

    def _listen(self, port: int) -> tuple[str, ...]:
        if self._tls is None:
            return ("--port", str(port))
        return ("--port", "0", "--tls-port", str(port), *self._tls.server_settings)

    def _server(self, port: int, words: Sequence[str], password: str) -> Server:
        options = {"password": password, **({"ssl": True, **self._tls.client_options} if self._tls else {})}
        return Server(port, words, self._directory, options, self._binary)

    def _sentinel(self, port: int, primary: int, quorum: int) -> Server:
        file = self._directory / f"sentinel-{port}.conf"
        listen = " ".join(self._listen(port)).replace(" --", "\n").removeprefix("--")
        settings = (
            listen,
            "bind 127.0.0.1",
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel monitor {NAME} 127.0.0.1 {primary} {quorum}",
            f"sentinel auth-pass {NAME} {PASSWORD}",
            f"sentinel down-after-milliseconds {NAME} 1000",
            f"sentinel failover-timeout {NAME} 3000",
            f"sentinel parallel-syncs {NAME} 2",
        )
        file.write_text("\n".join(settings) + "\n")
        return self._server(port, [str(file), "--sentinel"], SENTINEL_PASSWORD)


class ClusterRig(Rig):
    """A cluster: primaries, and a replica of each.

    Args:
        primaries: How many primaries; the slots are shared among them evenly.
        replicas: How many replicas each of them has.
        binary: The program; the embedded engine's by default.
    """

    def __init__(self, *, primaries: int = 3, replicas: int = 1, binary: Path | None = None) -> None:
        super().__init__()
        self._primaries = primaries
        ports = _cluster_ports(primaries * (1 + replicas))
        shared: tuple[str, ...] = (*QUIET, "--requirepass", PASSWORD, "--masterauth", PASSWORD)
        shared += ("--cluster-enabled", "yes", "--cluster-node-timeout", "1500")
        shared += ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        self.engines = [
            Server(
                port,
                [*shared, "--port", str(port), "--cluster-config-file", f"{port}.nodes", *_files(port)],
                self._directory,
                {"password": PASSWORD},
                binary,
            )
            for port in ports
        ]

    @property
    def servers(self) -> Sequence[Server]:
        """The engines."""
        return self.engines

    def assemble(self) -> None:
        """Share out the slots and give each primary its replicas."""
        self._join()
        self.wait_until_whole()

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"redis+cluster://:{PASSWORD}@{','.join(f'127.0.0.1:{server.port}' for server in self.engines)}"

    @property
    def primaries(self) -> list[Server]:
        """The engines that serve slots now, in the order of the slots."""
        for engine in self.engines:
            with contextlib.suppress(redis.RedisError, OSError):
                rows = sorted(engine.ask("CLUSTER", "SLOTS"))
                ports = dict.fromkeys(row[2][1] for row in rows)
                return [next(one for one in self.engines if one.port == port) for port in ports]
        raise AssertionError("no node of the cluster answers")

    def replica_of(self, primary: Server) -> Server:
        """The replica of *primary*, as it says itself."""
        port = int(primary.ask("ROLE")[2][0][1])
        return next(engine for engine in self.engines if engine.port == port)

    def primary_of(self, slot: int) -> Server:
        """The engine that serves *slot* now."""
        for engine in self.engines:
            with contextlib.suppress(redis.RedisError, OSError):
                for first, last, node, *_ in engine.ask("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(one for one in self.engines if one.port == node[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def client(self) -> Any:
        """A plain client, as a foreign agent or a judge would use."""
        return redis.RedisCluster(
            startup_nodes=[redis.cluster.ClusterNode("127.0.0.1", engine.port) for engine in self.engines],
            password=PASSWORD,
            decode_responses=True,
        )

    def clear(self) -> None:
        """Remove every key."""
        for engine in self.primaries:
            engine.ask("FLUSHALL")

    def wait_until_whole(self) -> None:
        """Wait until every slot is served, every replica follows, and all nodes agree on who is who."""
        replicas = len(self.engines) // self._primaries - 1

        def whole() -> bool:
            views = set()
            for engine in self.engines:
                said = engine.ask("CLUSTER", "INFO")
                if "cluster_state:ok" not in said or f"cluster_known_nodes:{len(self.engines)}" not in said:
                    return False
                rows = sorted(engine.ask("CLUSTER", "SLOTS"))
                views.add(str([(first, last, node[1], len(others)) for first, last, node, *others in rows]))
                if any(len(others) != replicas for *_, _node, others in ((*row[:3], row[3:]) for row in rows)):
                    return False
            following = sum(str(engine.ask("INFO", "replication")).count("state=online") for engine in self.primaries)
            return len(views) == 1 and following == len(self.engines) - self._primaries

        wait_until(whole, "the cluster is whole", 40.0)

    def _join(self) -> None:
        first, *others = self.engines
        for at, engine in enumerate(self.engines[: self._primaries]):
            share = (16384 * at // self._primaries, 16384 * (at + 1) // self._primaries - 1)
            engine.ask("CLUSTER", "ADDSLOTSRANGE", *share)
            engine.ask("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        for engine in others:
            engine.ask("CLUSTER", "MEET", "127.0.0.1", first.port)
        for at, engine in enumerate(self.engines[self._primaries :]):
            ident = self.engines[at % self._primaries].ask("CLUSTER", "MYID")
            wait_until(lambda e=engine, i=ident: i in e.ask("CLUSTER", "NODES"), "nodes have met")  # type: ignore[misc]
            wait_until(lambda e=engine, i=ident: e.ask("CLUSTER", "REPLICATE", i) == "OK", "a replica follows")  # type: ignore[misc]


def _files(port: int) -> tuple[str, ...]:
    return ("--dbfilename", f"{port}.rdb", "--appenddirname", f"{port}.aof")


def _cluster_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now, and below 55536: nodes talk on one that is 10000 higher."""
    found: list[int] = []
    while len(found) < count:
        found += [port for port in free_ports(count) if port < 55536 and port not in found]
    return found[:count]
