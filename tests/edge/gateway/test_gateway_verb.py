"""`observatory gateway` as it is started: what it refuses, how it ends, its keys, its dashboard, TLS."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from observatory.edge.gateway.meter import Meter
from observatory.live.metrics import names
from tests.rigs import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def observatory(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [sys.executable, "-m", "observatory", *words]
    environ = {**os.environ, "OBSERVATORY_URL": url}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def serving(url: str, log: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a gateway as a process of its own; yield it and its port."""
    command = [sys.executable, "-m", "observatory", "gateway", "--port", "0", *words]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env={**os.environ, "OBSERVATORY_URL": url}, stderr=stderr)
    try:
        deadline = time.monotonic() + 30
        while (found := re.search(r"serving https?://[^:]+:(\d+)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_gateway_from_its_start_to_its_end(bus_url: str, tmp_path: Path) -> None:
    """A key is made, listed without its secret, used, revoked; SIGTERM ends it with 0 and no word of complaint."""
    made = observatory(bus_url, "gateway", "keys", "create", "--role", "agent", "--agents", "pink, team-*")
    token = made.stdout.strip()
    assert re.fullmatch(r"obs_[a-z0-9]{8}_[\w-]{43}", token)
    ident, secret = token.split("_", 2)[1:]
    (listed,) = json.loads(observatory(bus_url, "gateway", "keys", "--json").stdout)
    assert (listed["id"], listed["role"], listed["agents"]) == (ident, "agent", ["pink", "team-*"])
    assert secret not in json.dumps(listed)
    log = tmp_path / "log"
    with serving(bus_url, log) as (process, port):
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            assert client.post("/agents/pink/send", json={"payload": 1}).status_code == 201
            assert client.get("/agents/harold/messages").status_code == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    greeting, *lines = log.read_text().splitlines()
    assert "who has a key" in greeting
    assert [json.loads(one)["status"] for one in lines] == [201, 403]
    assert observatory(bus_url, "gateway", "keys", "revoke", ident).returncode == 0
    assert observatory(bus_url, "gateway", "keys", "revoke", ident).returncode == 2
    assert observatory(bus_url, "gateway", "keys").stdout == "no keys\n"


def test_tls_is_spoken_where_a_certificate_was_given(bus_url: str, tmp_path: Path) -> None:
    """By whoever trusts who signed it, and never in the clear."""
    made = Certificates.make(tmp_path)
    words = ("--cert", made.file("server.crt"), "--key", made.file("server.key"), "--anonymous")
    with serving(bus_url, tmp_path / "log", *words) as (_, port):
        trust = ssl.create_default_context(cafile=made.file("ca.crt"))
        answer = httpx.post(f"https://127.0.0.1:{port}/agents/pink/send", json={"payload": 1}, verify=trust)
        assert answer.status_code == 201
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--host", "192.0.2.1"), "--host"),
        (("--host", "192.0.2.1", "--plain", "--anonymous"), "--anonymous"),
        (("--cert", "x.pem"), "--key"),
        (("--port", "70000"), "--port"),
        (("--max-body", "1"), "--max-body"),
        (("--read-only",), "read_only"),
        (("keys", "create", "--role", "king"), "role"),
        (("keys", "create", "--role", "agent"), "agents"),
        (("keys", "create", "--role", "agent", "--agents", "p!nk"), "agents"),
    ],
)
def test_what_cannot_be_is_refused_by_name(bus_url: str, words: tuple[str, ...], named: str) -> None:
    """Exit code 2, and the flag or field in the first line."""
    ended = observatory(bus_url, "gateway", *words)
    assert ended.returncode == 2
    assert named in ended.stderr.splitlines()[0]
    assert not ended.stdout


def test_certificates_that_cannot_be_used_are_said_so(bus_url: str, tmp_path: Path) -> None:
    """And so is an address that is in use."""
    (tmp_path / "x.pem").write_text("nothing")
    ended = observatory(bus_url, "gateway", "--port", "0", "--cert", f"{tmp_path}/x.pem", "--key", f"{tmp_path}/x.pem")
    assert ended.returncode == 1
    assert "certificate or key" in ended.stderr
    with serving(bus_url, tmp_path / "log") as (_, port):
        ended = observatory(bus_url, "gateway", "--port", str(port))
        assert ended.returncode == 1
        assert f"127.0.0.1:{port}" in ended.stderr


def test_a_gateway_without_a_bus_says_so(tmp_path: Path) -> None:
    """Exit code 3."""
    assert observatory(f"unix://{tmp_path}/none.sock", "gateway", "--port", "0").returncode == 3


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    """Every expression of it names what `/metrics` tells."""
    printed = observatory("", "gateway", "--grafana")
    dashboard = json.loads(printed.stdout)
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {name for one in expressions for name in re.findall(r"observatory_\w+", one)}
    gateway = re.findall(r"# TYPE (\w+)", Meter().exposition())
    assert asked <= {*names(), *gateway}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert set(gateway) <= asked, "what the gateway tells of itself is on its dashboard"
