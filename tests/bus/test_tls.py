"""TLS to a server of one's own: Debian's, because the embedded engine has none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from observatory.bus import Bus, TaskContext
from observatory.model.errors import BusUnreachableError, UsageError
from observatory.model.snapshot import LinkState
from tests.bus.conftest import DEBIAN_REDIS, working
from tests.bus.test_worker import Notebook, failing
from tests.conftest import eventually
from tests.rigs import PASSWORD, QUIET, Certificates, SentinelRig, Server, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observatory.model.task import Task

pytestmark = [
    pytest.mark.skipif(DEBIAN_REDIS is None, reason="no redis-server with TLS is installed here"),
    pytest.mark.xdist_group("tls"),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of this run."""
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis that speaks TLS only, and only with clients whose certificate it can check."""
    (port,) = free_ports(1)
    words = ("--port", "0", "--tls-port", str(port), *certificates.server_settings, *QUIET, "--requirepass", PASSWORD)
    options = {"password": PASSWORD, "ssl": True, **certificates.client_options}
    running = Server(port, words, tmp_path_factory.mktemp("tls"), options, Path(str(DEBIAN_REDIS)))
    try:
        running.start()
        yield running
    finally:
        running.kill()


def url_of(server: Server, parameters: dict[str, str], *, scheme: str = "rediss", host: str = "127.0.0.1") -> str:
    """Write the URL of a server."""
    return f"{scheme}://:{PASSWORD}@{host}:{server.port}/0?{urlencode(parameters)}"


async def test_the_whole_life_of_a_task_under_tls(server: Server, certificates: Certificates) -> None:
    """Publish, fail, die, requeue and complete; leases, which have a thread of their own, are renewed as well."""
    notebook = Notebook()

    async def slow(_task: Task, _context: TaskContext) -> None:
        await asyncio.sleep(1.5)

    handlers: Any = {"x": notebook, "bad": failing, "slow": slow}
    async with Bus.connect(url_of(server, certificates.client_options)) as bus:
        async with working(bus, "pink", handlers, concurrency=3, retry_delays=(0.05,), lease_s=0.6) as worker:
            await bus.publish("slow")
            await bus.publish("x", b"\x00" * 200_000)
            await bus.publish("bad", id="bad-1")
            await eventually(lambda: len(notebook.tasks) == 1)
            assert len(notebook.tasks[0].payload) == 200_000
            letters = await eventually(lambda: _letters(bus))
            await eventually(lambda: worker.stats.done == 2)
            assert worker.stats.lost == worker.stats.recovered == 0
        async with working(bus, "pink", {"bad": notebook}):
            await bus.requeue([letters[0].entry_id])
            await eventually(lambda: len(notebook.tasks) == 2)


async def _letters(bus: Bus) -> Any:
    return (await bus.dead_letters()).items


async def test_a_server_that_was_killed_is_found_again(server: Server, certificates: Certificates) -> None:
    """The link is lost and ready again, without a new client."""
    async with Bus.connect(url_of(server, certificates.client_options)) as bus:
        server.kill()
        publishing = asyncio.create_task(bus.publish("x"))
        await eventually(lambda: bus.link.state is LinkState.LOST)
        await asyncio.to_thread(server.start)
        await publishing
        assert bus.link.state is LinkState.READY


async def test_what_keeps_tls_from_working_is_said_in_words(server: Server, certificates: Certificates) -> None:
    """Each mistake has its own words and its own next step, and none of them shows the password."""
    right = certificates.client_options
    stranger = right | {"ssl_ca_certs": certificates.file("stranger.crt")}
    for url, words in (
        (url_of(server, {}), "ssl_ca_certs"),
        (url_of(server, stranger), "ssl_ca_certs"),
        (url_of(server, right, host="localhost"), "ssl_check_hostname"),
        (url_of(server, {"ssl_ca_certs": right["ssl_ca_certs"]}), "ssl_certfile"),
    ):
        with pytest.raises(BusUnreachableError, match=words) as told:
            await Bus.connect(url).open(deadline_s=60)
        assert PASSWORD not in str(told.value)
    async with Bus.connect(url_of(server, right | {"ssl_check_hostname": "no"}, host="localhost")) as bus:
        await bus.publish("x")


async def test_tls_and_no_tls_do_not_understand_each_other(
    server: Server, certificates: Certificates, unused_tcp_port: int, tmp_path: Path
) -> None:
    """Either way round, the error names the other scheme."""
    plain = Server(unused_tcp_port, ("--port", str(unused_tcp_port), *QUIET), tmp_path, {})
    try:
        plain.start()
        with pytest.raises(BusUnreachableError, match="rediss"):
            await Bus.connect(url_of(plain, certificates.client_options)).open(deadline_s=0.3)
    finally:
        plain.kill()
    with pytest.raises(BusUnreachableError, match="rediss"):
        await Bus.connect(url_of(server, {}, scheme="redis")).open(deadline_s=0.3)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://h?ssl_cert_reqs=none", "rediss"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs names no file"),
        ("rediss://h?ssl_cert_reqs=perhaps", "required, optional, none"),
        ("redis+sentinel://h/m?ssl_check_hostname=no", "rediss"),
    ],
)
def test_a_wrong_parameter_of_tls_is_named_before_anything_is_tried(url: str, words: str) -> None:
    """A file that is not there, or TLS where there is none, is no reason to wait."""
    with pytest.raises(UsageError, match=words):
        Bus.connect(url)


async def test_sentinels_and_engines_under_tls(certificates: Certificates) -> None:
    """`rediss+sentinel://` asks the Sentinels under TLS, speaks TLS to what they name, and follows a failover."""
    notebook = Notebook()
    with SentinelRig(replicas=1, sentinels=1, tls=certificates, binary=Path(str(DEBIAN_REDIS))) as rig:
        async with (
            Bus.connect(rig.url) as bus,
            working(bus, "pink", {"x": notebook}),
        ):
            await bus.publish("x", id="before")
            await eventually(lambda: len(notebook.tasks) == 1)
            first = rig.primary
            await asyncio.to_thread(first.kill)
            await bus.publish("x", id="after", ttl=60)
            await eventually(lambda: "after" in [task.id for task in notebook.tasks])
            await eventually(lambda: rig.primary is not first)
        without = rig.url.replace(urlencode({"ssl_ca_certs": certificates.file("ca.crt")}), "")
        with pytest.raises(BusUnreachableError, match="ssl_ca_certs"):
            await Bus.connect(without).open(deadline_s=60)
