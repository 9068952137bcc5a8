"""Keys, roles and scopes; limits; and that every refusal has one shape."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import redis
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from observatory.edge.gateway.gateway import Gateway
from observatory.edge.gateway.journal import Journal
from observatory.engine import Engine
from tests.conftest import eventually
from tests.edge.gateway.conftest import Rig, error_of, gateway_on

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.bus import Bus

REQUESTS: list[tuple[str, str, Any, str]] = [
    ("GET", "/agents", None, "look"),
    ("GET", "/metrics", None, "look"),
    ("GET", "/tickets/none", None, "look"),
    ("GET", "/tasks/none", None, "look"),
    ("POST", "/agents/harold/send", {"payload": 1}, "send"),
    ("POST", "/tasks", {"type": "x"}, "send"),
    ("POST", "/messages", {"messages": [{"to": "harold"}]}, "send"),
    ("GET", "/agents/pink/messages", None, "act"),
    ("POST", "/agents/pink/ack", {"receipts": ["1-1/1"]}, "act"),
    ("POST", "/agents/pink/heartbeat", {}, "act"),
    ("POST", "/agents/pink/tasks/take", {}, "act"),
    ("GET", "/agents/harold/messages", None, "other"),
    ("POST", "/agents/harold/heartbeat", {}, "other"),
    ("POST", "/agents/pink/tasks/take", {"queues": ["@harold"]}, "other"),
    ("POST", "/tasks/none/cancel", None, "steer"),
    ("POST", "/broadcast", {"payload": 1}, "steer"),
]

ALLOWED = {
    "reader": {"look"},
    "sender": {"look", "send"},
    "agent": {"look", "send", "act"},
    "operator": {"look", "send", "act", "other", "steer"},
}


@pytest.mark.parametrize("role", ALLOWED)
async def test_a_key_gives_what_its_role_gives(rig: Rig, role: str) -> None:
    """And not a bit more; an agent acts in its own name only."""
    agents = ("pink",) if role == "agent" else ()
    token, _ = await rig.bus.api_keys.create(role=role, agents=agents)
    async with rig.client_of(token) as client:
        for method, path, body, right in REQUESTS:
            answer = await client.request(method, path, json=body)
            if right in ALLOWED[role]:
                assert answer.status_code not in {401, 403}, (path, answer.text)
            else:
                assert answer.status_code == 403, (path, answer.text)
                assert error_of(answer)["code"] == "forbidden"


async def test_without_a_key_nothing_is_told_and_nothing_is_done(rig: Rig) -> None:
    """Neither by HTTP nor by a socket; only that the process lives."""
    async with rig.client_of("") as client:
        for method, path, body, _ in REQUESTS:
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 401, path
            assert error_of(answer)["code"] == "no_key"
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.get("/readyz")).json()["status"] == "ok"
    for token in ("obs_aaaaaaaa_" + "A" * 43, "nonsense", "obs__"):
        async with rig.client_of(token) as client:
            answer = await client.get("/agents")
            assert (answer.status_code, error_of(answer)["code"]) == (401, "wrong_key")
    for path in ("/ws/agents/pink", "/ws/events"):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{rig.port}{path}"):
                pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "no_key"


async def test_a_secret_that_is_nearly_right_is_wrong(rig: Rig) -> None:
    """The id of a key alone opens nothing."""
    _, ident, secret = rig.token.split("_", 2)
    wrong = ("B" if secret[0] != "B" else "C") + secret[1:]
    async with rig.client_of(f"obs_{ident}_{wrong}") as client:
        assert (await client.get("/agents")).status_code == 401


async def test_a_key_that_was_made_opens_at_once_and_a_revoked_one_nothing(rig: Rig) -> None:
    """At a gateway that runs, its open sockets included."""
    token, key = await rig.bus.api_keys.create(role="agent", agents=("team-*",))
    async with rig.client_of(token) as client:
        assert (await client.get("/agents/team-1/messages")).status_code == 200
        assert (await client.get("/agents/pink/messages")).status_code == 403
        async with rig.open("/ws/agents/team-2", token) as socket, rig.open("/ws/events", token) as events:
            assert await rig.bus.api_keys.revoke(key.id)

            async def shut() -> bool:
                return (await client.get("/agents")).status_code == 401

            await eventually(shut)
            async with asyncio.timeout(10):
                await socket.connection.wait_closed()
                await events.connection.wait_closed()
            assert socket.connection.close_code == events.connection.close_code == 4401
    with pytest.raises(InvalidStatus) as refused:
        async with rig.open("/ws/agents/team-1", token):
            pass
    assert refused.value.response.status_code == 401


async def test_nobody_sends_in_the_name_of_another(rig: Rig) -> None:
    """A key of one agent signs by itself; another name is refused."""
    token, _ = await rig.bus.api_keys.create(role="agent", agents=("pink",))
    async with rig.client_of(token) as client:
        await client.post("/agents/harold/send", json={"payload": 1})
        forged = await client.post("/agents/harold/send", json={"payload": 1, "from": "violet"})
        assert forged.status_code == 403
        assert error_of(forged)["field"] == "from"
    (message,) = (await rig.client.get("/agents/harold/messages")).json()["messages"]
    assert message["from"] == "pink"


async def test_what_the_bus_keeps_of_a_key_does_not_open_anything(rig: Rig, engine: Engine) -> None:
    """Neither key nor secret stands anywhere in the engine."""
    with redis.Redis.from_url(engine.url) as plain:
        kept = b"".join(plain.hgetall("cortex:gateway:keys").values())
    secret = rig.token.split("_", 2)[2]
    assert kept
    assert secret.encode() not in kept


async def test_whoever_comes_without_a_key_is_let_in_where_that_was_said(bus_url: str) -> None:
    """For a machine of one's own."""
    async with gateway_on(bus_url, anonymous=True) as rig, rig.client_of("") as client:
        assert (await client.post("/agents/pink/send", json={"payload": 1})).status_code == 201
        assert (await client.post("/broadcast", json={"payload": 1})).status_code == 201
    async with gateway_on(bus_url, anonymous=True) as rig, rig.client_of("obs_aaaaaaaa_" + "A" * 43) as client:
        assert (await client.get("/agents")).status_code == 401, "a wrong key is wrong all the same"


async def test_who_asks_too_often_is_told_when_to_come_back(bus_url: str) -> None:
    """Each key by itself."""
    async with gateway_on(bus_url, rate=2) as rig:
        answers = [await rig.client.get("/tickets/x") for _ in range(8)]
        assert {one.status_code for one in answers} == {404, 429}
        refused = next(one for one in answers if one.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert error_of(refused)["code"] == "too_fast"
        token, _ = await rig.bus.api_keys.create(role="reader")
        async with rig.client_of(token) as other:
            assert (await other.get("/tickets/x")).status_code == 404


async def test_a_body_that_is_too_large_is_not_read(bus_url: str) -> None:
    """Whether its length was told before or not."""
    async with gateway_on(bus_url, max_body=20_000) as rig:
        large = json.dumps({"payload": "x" * 50_000}).encode()
        headers = {"content-type": "application/json"}
        told = await rig.client.post("/agents/pink/send", content=large, headers=headers)
        assert (told.status_code, error_of(told)["code"]) == (413, "too_large")

        async def pieces() -> Any:
            for first in range(0, len(large), 1000):
                yield large[first : first + 1000]

        untold = await rig.client.post("/agents/pink/send", content=pieces(), headers=headers)
        assert untold.status_code == 413
        small = await rig.client.post("/agents/pink/send", json={"payload": "x"})
        assert small.status_code == 201


async def test_a_payload_beyond_the_bound_of_the_bus_names_its_field(rig: Rig) -> None:
    """422, and nothing was kept."""
    answer = await rig.client.post("/agents/pink/send", json={"payload": "x" * 300_000})
    assert (answer.status_code, error_of(answer)["field"]) == (422, "payload")


async def test_there_is_an_end_to_sockets(bus_url: str) -> None:
    """One too many is refused with the one shape."""
    async with gateway_on(bus_url, max_sockets=1) as rig, rig.open("/ws/agents/pink"):
        with pytest.raises(InvalidStatus) as refused:
            async with rig.open("/ws/agents/harold"):
                pass
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "full"
        assert (await rig.client.get("/events")).status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "said", "status", "field"),
    [
        ("POST", "/agents/pink/send", b"not json", 422, "body"),
        ("POST", "/agents/pink/send", b"\xff\x00", 422, "body"),
        ("POST", "/agents/pink/send", b'{"payload": 1, "colour": 2}', 422, "colour"),
        ("POST", "/agents/pink/send", b'{"ttl": "long"}', 422, "ttl"),
        ("POST", "/agents/pi nk/send", b"{}", 422, "agent"),
        ("POST", "/agents/pink/send", b'{"payload": 1, "payloadBase64": "eA=="}', 422, "payloadBase64"),
        ("POST", "/agents/pink/send", b'{"payloadBase64": "eA"}', 422, "payloadBase64"),
        ("POST", "/messages", b'{"messages": [{"to": "pink", "ttl": 0}]}', 422, "messages.0.ttl"),
        ("POST", "/agents/pink/ack", b'{"receipts": ["x"]}', 422, "receipts"),
        ("GET", "/agents/pink/messages?limit=0", None, 422, "limit"),
        ("GET", "/tickets/none", None, 404, "ident"),
        ("GET", "/nowhere", None, 404, ""),
        ("PUT", "/agents/pink/send", b"{}", 405, ""),
    ],
)
async def test_every_refusal_has_one_shape(  # noqa: PLR0917 - a table has as many columns as it needs
    rig: Rig, method: str, path: str, said: bytes | None, status: int, field: str
) -> None:
    """It names the field."""
    headers = {"content-type": "application/json"}
    answer = await rig.client.request(method, path, content=said, headers=headers)
    assert answer.status_code == status
    error = error_of(answer)
    assert error["reason"]
    assert error["field"] == field


async def test_a_bus_that_is_away_is_said_so_and_nothing_is_kept(tmp_path: Path) -> None:
    """503, not ready, and the message is nowhere when the bus is back: the client sends it again."""
    with Engine(tmp_path / "data") as engine:
        engine.start()
        async with gateway_on(engine.url) as rig:
            await _is_away_and_back(rig, engine)


async def _is_away_and_back(rig: Rig, engine: Engine) -> None:
    engine.stop()

    async def away() -> bool:
        return (await rig.client.get("/readyz")).status_code == 503

    await eventually(away)
    answer = await rig.client.post("/agents/pink/send", json={"payload": 1})
    assert answer.status_code == 503
    error = error_of(answer)
    assert (error["code"], error["hint"]) == ("unreachable", "nothing was kept: send it again")
    assert int(answer.headers["retry-after"]) >= 1
    assert "redis" not in answer.text
    assert "unix" not in answer.text
    assert (await rig.client.get("/healthz")).status_code == 200
    assert "observatory_up 0" in (await rig.client.get("/metrics")).text
    engine.start()

    async def back() -> bool:
        return (await rig.client.get("/readyz")).status_code == 200

    await eventually(back)
    assert (await rig.client.get("/agents/pink/messages")).json() == {"messages": []}


async def test_pages_of_other_origins_are_not_let_in(rig: Rig) -> None:
    """No answer allows them to read it, and a preflight is refused."""
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = await rig.client.options("/agents/pink/send", headers=headers)
    answer = await rig.client.get("/agents", headers={"Origin": "https://evil.example"})
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control")]
    assert preflight.status_code == 405


async def test_the_access_log_tells_who_asked_for_what_and_no_secret(
    bus_url: str, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line of JSON a request, with the id of the key, without the key, the query and what was said."""
    log = io.StringIO()
    opened = Gateway.__init__

    def logging(self: Gateway, *args: Any) -> None:
        opened(self, *args)
        self.journal = Journal(log)

    monkeypatch.setattr(Gateway, "__init__", logging)
    async with gateway_on(bus_url) as rig:
        await rig.send("pink", "confidential")
        await rig.client.get("/agents/pink/messages", params={"limit": 7})
        await rig.client.get("/agents/x%22%1b[31m/messages")
        async with rig.open("/ws/agents/pink"):
            pass
    lines = [json.loads(text) for text in log.getvalue().splitlines()]
    assert [(one["method"], one["path"], one["status"]) for one in lines] == [
        ("POST", "/agents/pink/send", 201),
        ("GET", "/agents/pink/messages", 200),
        ("GET", '/agents/x"\x1b[31m/messages', 422),
        ("SOCKET", "/ws/agents/pink", 101),
    ]
    ident, secret = rig.token.split("_", 2)[1:]
    assert {one["key"] for one in lines} == {ident}
    for hidden in (secret, "confidential", "limit", "\x1b"):
        assert hidden not in log.getvalue()
