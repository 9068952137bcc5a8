"""Messages typed into real terminals: in order, whole, once, and never taken for keys."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from observatory.bus import Bus
from observatory.edge.tmux import deliverer
from observatory.model.dead_letter import Reason
from observatory.model.message import Message
from observatory.model.terminal import MOST_IN_LINE, typed
from tests.conftest import eventually
from tests.edge.processes import process
from tests.edge.tmux.conftest import KINDS, PLAIN, Tmux, delivering

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    import redis

HOSTILE = (
    "\x03\x04\x1a\x1c",
    "end\x1b[201~; touch stolen\r\n",
    "\x1b[200~\x1b]0;title\x07\x1b[A\x1b[A",
    "two\nlines\rthree\x85four\u2028five",
    "$(touch stolen) `touch stolen`; touch stolen & \\",
    "!touch stolen\t\t\x7f\x7f\x7f\x08\x15\x17",
    "\x9b201~\x90\x9d\x9c",
    "#{pane_id} {text} {from} %s %(x)s ~ ^C -l",
    "naïve \u276f 漢字 🧪 \u202egnp.exe",
    "",
)
"""What somebody writes who wants a terminal to do something."""


def expected(kind: str, sender: str, texts: list[str]) -> list[str]:
    """What an agent should read for each of *texts*."""
    messages = (Message.read("x", "1-0", ((b"from", sender.encode()), (b"payload", text.encode()))) for text in texts)
    return [typed(KINDS[kind], message) for message in messages]


async def test_two_agents_exchange_messages_while_one_of_them_moves(bus: Bus, tmux: Tmux, soak: bool) -> None:
    """Two shells with different prompts get everything in order, though the pane of one is killed and made anew."""
    count = 100 if soak else 10
    rng = random.Random(7)
    to_pink = [f"{number:03} {rng.choice(HOSTILE)} end {number}" for number in range(count)]
    to_harold = [f"{number:03} {rng.choice(HOSTILE)} END {number}" for number in range(count)]
    pane = tmux.agent("pink", "editing")
    tmux.agent("harold", "plain")
    async with (
        Bus.connect(_url(bus), name="harold") as harold,
        Bus.connect(_url(bus), name="pink") as pink,
        delivering(bus, tmux) as delivery,
    ):
        for for_pink, for_harold in zip(to_pink, to_harold, strict=True):
            await harold.send_message("pink", for_pink)
            await pink.send_message("harold", for_harold)
        await eventually(lambda: len(tmux.read("pink")) >= count // 2, timeout=60)
        tmux("kill-pane", "-t", pane)
        await eventually(lambda: delivery.of("gone"), timeout=20)
        tmux.agent("pink", "editing")
        await eventually(lambda: len(delivery.of("delivered")) == 2 * count, timeout=120)
    got = tmux.read("pink")
    # The one in hand when its terminal died may have been read by both lives of the agent.
    twice = [number for number in range(1, len(got)) if got[number] == got[number - 1]]
    assert len(twice) <= 1
    assert [row for number, row in enumerate(got) if number not in twice] == expected("editing", "harold", to_pink)
    assert tmux.read("harold") == expected("plain", "pink", to_harold)
    assert not list(tmux.folder.rglob("stolen"))


async def test_nothing_in_a_message_is_a_key(bus: Bus, tmux: Tmux) -> None:
    """Interrupts, ends of input, ends of a paste, line breaks and completions arrive as characters that can be seen."""
    for name, kind in (("pink", "editing"), ("harold", "plain")):
        tmux.agent(name, kind)
    async with delivering(bus, tmux) as delivery:
        for text in HOSTILE:
            for name in ("pink", "harold"):
                await bus.send_message(name, text)
        await eventually(lambda: len(delivery.of("delivered")) == 2 * len(HOSTILE), timeout=60)
    for name, kind in (("pink", "editing"), ("harold", "plain")):
        assert tmux.read(name) == expected(kind, bus.name, list(HOSTILE))
    assert not list(tmux.folder.rglob("stolen"))


async def test_a_deliverer_that_is_killed_types_nothing_twice(
    bus: Bus, tmux: Tmux, tmp_path: Path, soak: bool, plain: redis.Redis
) -> None:
    """However often the deliverer is killed, each message is read once, in order, and leaves the mailbox."""
    texts = [f"message {number}" for number in range(60 if soak else 8)]
    config = tmp_path / "observatory.toml"
    config.write_text("[tmux.kinds.plain]\nprompts = ['^harold\\$$']\ncooldown = '0s'\n")
    tmux.agent("harold", "plain")
    for text in texts:
        await bus.send_message("harold", text)
    command = [sys.executable, "-m", "observatory", "deliver", "tmux", "--socket", tmux.socket, "--config", str(config)]
    rng = random.Random(11)
    lives = 0
    while len(tmux.read("harold")) < len(texts) or plain.xlen("cortex:messages:harold"):
        lives += 1
        assert lives < 100
        had = len(tmux.read("harold"))
        async with process(*command, "--url", _url(bus), stdout=asyncio.subprocess.DEVNULL):
            await _progress(plain, tmux, had + 2, len(texts))
            await asyncio.sleep(rng.uniform(0, 0.2))
    assert lives > 2
    assert tmux.read("harold") == expected("plain", bus.name, texts)


async def _progress(plain: redis.Redis, tmux: Tmux, wanted: int, count: int) -> None:
    """Wait until harold has read so many messages, and at the end until his mailbox is empty."""
    await eventually(
        lambda: (
            len(tmux.read("harold")) >= min(wanted, count)
            and (wanted < count or not plain.xlen("cortex:messages:harold"))
        ),
        timeout=60,
    )


async def test_a_terminal_that_is_never_ready_costs_nobody_else_anything(bus: Bus, tmux: Tmux) -> None:
    """Its messages become dead letters that say why; another agent, and whoever sends, notices nothing."""
    tmux.agent("pink", "editing", script="echo thinking hard; sleep 600")
    tmux.agent("harold", "plain")
    async with delivering(bus, tmux, give_up_s=2.0) as delivery:
        await asyncio.wait_for(bus.send_message("pink", "first", type="note"), 1)
        for number in range(5):
            await bus.send_message("harold", str(number))
        await eventually(lambda: len(delivery.of("delivered")) == 5)
        assert not delivery.of("buried")
        await eventually(lambda: delivery.of("buried"))
    (letter,) = (await bus.dead_letters()).items
    assert (letter.reason, letter.type, letter.payload) == (Reason.NO_HANDLER, "note", b"first")
    assert "thinking hard" in letter.error
    assert letter.source.endswith(":messages:pink")
    assert not (await bus.audit()).differences


async def test_long_messages_arrive_whole_and_longer_ones_are_dead_letters(bus: Bus, tmux: Tmux) -> None:
    """Up to the bound of its kind nothing is cut; what is beyond holds up nothing."""
    tmux.agent("harold", "plain")
    tmux.agent("pink", "editing")
    room = MOST_IN_LINE - len(f"[from {bus.name}] ")
    line, paste = "abcdefghi " * (room // 10), "0123456789" * 3000
    await bus.send_message("harold", line)
    await bus.send_message("harold", "x" * (room + 1))
    await bus.send_message("harold", "short")
    await bus.send_message("pink", paste)
    async with delivering(bus, tmux) as delivery:
        await eventually(lambda: len(delivery.of("delivered")) == 3, timeout=20)
    (letter,) = (await bus.dead_letters()).items
    assert letter.reason == Reason.TOO_LARGE
    assert tmux.read("harold") == expected("plain", bus.name, [line, "short"])
    await eventually(lambda: tmux.read("pink") == expected("editing", bus.name, [paste]))


async def test_whoever_scrolls_in_a_pane_is_not_disturbed(bus: Bus, tmux: Tmux) -> None:
    """While a pane is in copy mode, or its input is off, nothing is typed; afterwards everything is."""
    pane = tmux.agent("harold", "plain")
    async with delivering(bus, tmux) as delivery:
        await eventually(lambda: delivery.of("found"))
        for begin, end in (
            (("copy-mode", "-t", pane), ("send-keys", "-t", pane, "-X", "cancel")),
            (("select-pane", "-d", "-t", pane), ("select-pane", "-e", "-t", pane)),
        ):
            delivery.told.clear()
            tmux(*begin)
            await bus.send_message("harold", "later")
            await asyncio.sleep(0.5)
            assert not delivery.of("delivered")
            tmux(*end)
            await eventually(lambda: delivery.of("delivered"))
    assert tmux.read("harold") == expected("plain", bus.name, ["later", "later"])


async def test_what_a_human_has_begun_to_type_is_left_alone(bus: Bus, tmux: Tmux) -> None:
    """A prompt with half a line behind it is not ready."""
    pane = tmux.agent("harold", "plain")
    tmux("send-keys", "-t", pane, "-l", "half a tho")
    await eventually(lambda: "half a tho" in tmux("capture-pane", "-p", "-t", pane))
    await bus.send_message("harold", "hello")
    async with delivering(bus, tmux) as delivery:
        await eventually(lambda: delivery.of("found"))
        await asyncio.sleep(0.5)
        assert not delivery.of("delivered")
        tmux("send-keys", "-t", pane, "ught", "Enter")
        await eventually(lambda: delivery.of("delivered"))
    assert tmux.read("harold") == ["half a thought", *expected("plain", bus.name, ["hello"])]


async def test_an_agent_that_ends_in_its_pane_leaves_its_shell_alone(
    bus: Bus, tmux: Tmux, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a shell stands again nothing is typed, and the agent is gone, until it runs again."""
    monkeypatch.setattr(deliverer, "ABSENT_S", 0.5)
    kinds = {"sleeper": replace(KINDS["plain"], name="sleeper", commands=("sleep",))}
    agent = f"sh -c 'echo $$ > {tmux.folder}/pid; exec sleep 600'"
    pane = tmux.agent("harold", "plain", script=f"set -m; printf 'harold$ '; {agent}; {PLAIN}")
    tmux("set-option", "-p", "-u", "-t", pane, "@observatory_kind")
    async with delivering(bus, tmux, kinds=kinds) as delivery:
        await eventually(lambda: delivery.of("found"))
        os.kill(int((tmux.folder / "pid").read_text()), signal.SIGTERM)
        await eventually(lambda: tmux("display-message", "-p", "-t", pane, "#{pane_current_command}") == "sh")
        await bus.send_message("harold", "rm -rf important")
        await eventually(lambda: delivery.of("gone"))
        assert not delivery.of("delivered")
        assert "runs there: sh" in delivery.of("problem")[0].detail
        tmux("set-option", "-p", "-t", pane, "@observatory_kind", "sleeper")
        await eventually(lambda: delivery.of("delivered"))
    assert tmux.read("harold") == expected("plain", bus.name, ["rm -rf important"])


async def test_agents_in_running_sessions_appear_by_themselves(bus: Bus, tmux: Tmux) -> None:
    """A session whose name the settings know is an agent: alive, in the log, and gone when its session ends."""
    kinds = {"sleeper": replace(KINDS["plain"], name="sleeper", commands=("sleep",))}
    async with delivering(bus, tmux, kinds=kinds, sessions=re.compile(r"swarm-(?P<agent>\w+)")) as delivery:
        tmux("new-session", "-d", "-s", "swarm-blue", "sleep", "600")
        await eventually(lambda: delivery.of("found"))
        facts = {event.kind: event for event in (await bus.events()).items if event.agent.startswith("blue")}
        assert "sleep" in facts["session_resumed"].detail
        assert "agent_up" in facts
        tmux("kill-session", "-t", "swarm-blue")
        await eventually(lambda: delivery.of("gone"))
    assert "agent_down" in {event.kind for event in (await bus.events()).items}


def _url(bus: Bus) -> str:
    return bus.partitions._raw_url
