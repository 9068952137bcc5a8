"""The README keeps its word: its programs run, and its tables name what there is."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from observatory.cli.main import build_parser
from observatory.cli.parser import leaves
from observatory.engine import Engine
from observatory.model.filter.listed import (
    CLIENTS,
    COMMANDS,
    CONSUMERS,
    ENTRIES,
    FINDINGS,
    GROUPS,
    PENDING,
    SLOW,
    TASKS,
)
from observatory.model.filter.rows import AGENTS, DEAD_LETTERS, EVENTS, LANES
from observatory.settings import SETTINGS
from observatory.settings.themes import read_theme
from tests.cli.conftest import entries
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from observatory.model.filter import FieldSet
    from tests.cli.conftest import Cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"<!-- tested: ([\w ]+) -->\n```python\n(.*?)```", README, re.DOTALL))


async def test_the_plain_agent_is_on_the_screen_with_its_task_and_its_group(bus_cli: Cli, raw: redis.Redis) -> None:
    """Thirty lines of redis-py publish, take, acknowledge and beat; `status` shows all of it."""
    assert len([row for row in PROGRAMS["plain agent"].splitlines() if row.strip()]) <= 30
    with _running(bus_cli, "plain agent") as agent:
        assert agent.stdout is not None
        assert "greet" in agent.stdout.readline()
        bus_cli("send", "later", "--priority", "critical")
        assert "later" in agent.stdout.readline()
        status = bus_cli("status", "--json").json
    (scout,) = status["agents"]
    assert (scout["name"], scout["state"]) == ("scout", "alive")
    lanes = {lane["stream"]: lane for lane in status["lanes"]}
    for name in ("cortex:tasks:high", "cortex:tasks:critical"):
        (group,) = lanes[name]["groups"]
        assert (group["name"], group["lag"], group["consumers"]) == ("agents", 0, 1)


async def test_the_library_agent_completes_what_it_published(bus_cli: Cli, raw: redis.Redis) -> None:
    """Its task is taken, run once and gone from the lane, and the log says so."""
    with _running(bus_cli, "library agent") as agent:
        assert agent.stdout is not None
        assert "attempt 1 of" in agent.stdout.readline()
        await eventually(lambda: not entries(raw, "cortex:tasks:high"))
        status = bus_cli("status", "--json").json
    assert [row["name"] for row in status["agents"]] == ["pink"]
    assert status["dead_letters"]["total"] == 0


async def test_the_library_agent_outlives_its_engine_and_its_work_outlives_it(cli: Cli) -> None:
    """A task from another shell is handled, also after the engine was killed; the work of a killed agent passes on."""
    # A short path, so that the engine keeps its unix socket, and with it its address, over a restart.
    with tempfile.TemporaryDirectory(prefix="readme-") as folder:
        engine = Engine(Path(folder) / "engine")
        engine.start()
        shell = replace(cli, environment={**cli.environment, "OBSERVATORY_URL": engine.url})
        try:
            with _running(shell, "library agent") as agent:
                assert "attempt 1 of" in await _said(agent)
                assert await _sent(shell) in await _said(agent)
                assert engine.pid is not None
                os.kill(engine.pid, signal.SIGKILL)
                engine.stop()
                engine.start()
                assert await _sent(shell) in await _said(agent)
                agent.send_signal(signal.SIGSTOP)
                inherited = await _sent(shell)
                agent.kill()
            with _running(shell, "library agent") as heir:
                said = [await _said(heir), await _said(heir)]
            assert any(inherited in line for line in said)
        finally:
            engine.stop()


async def _said(agent: subprocess.Popen[str]) -> str:
    """The next line of an agent; a lease of 30 s may have to end before it."""
    assert agent.stdout is not None
    return await asyncio.wait_for(asyncio.to_thread(agent.stdout.readline), 60)


async def _sent(shell: Cli) -> str:
    """Send a task as a person does, and return its id."""
    sent = await asyncio.to_thread(shell, "send", "deploy", "--queue", "deploy", "--json")
    return str(sent.json["id"])


def test_every_program_in_the_readme_is_tested() -> None:
    """A block of Python without a marker would not be run by anyone."""
    assert README.count("```python") == len(PROGRAMS) == 3


def test_the_theme_in_the_readme_can_be_used(tmp_path: Path) -> None:
    """The example is a complete theme file."""
    (text,) = re.findall(r'```toml\n(name = "mine".*?)```', README, re.DOTALL)
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert read_theme(file).name == "mine"


def test_the_settings_in_the_readme_can_be_used(cli: Cli) -> None:
    """The example is a settings file that every verb takes."""
    (text,) = re.findall(r"```toml\n(# observatory.toml.*?)```", README, re.DOTALL)
    (cli.home / "mine.toml").write_text(text)
    assert cli("config", "--config", "mine.toml", "--json").json["refresh_s"]["value"] == "2"


def test_the_keymap_in_the_readme_can_be_used(cli: Cli) -> None:
    """The example is a keymap file without a problem, and its comment on what has no key is true."""
    (text,) = re.findall(r"```toml\n(# keymap.toml.*?)```", README, re.DOTALL)
    (cli.home / "mine.toml").write_text(text)
    rows = {row["id"]: row["keys"] for row in cli("keys", "--check", "mine.toml", "--json").json}
    assert (rows["app.freeze"], rows["dead-letters.requeue"]) == (["F"], [])


def test_every_verb_and_every_setting_is_in_the_readme() -> None:
    """The tables are complete, and name nothing that does not exist."""
    verbs = {words[0] for words, _ in leaves(build_parser()) if words}
    assert verbs == set(re.findall(r"^\| `observatory ([\w-]+)", README, re.MULTILINE))
    assert {setting.key for setting in SETTINGS} == set(
        re.findall(r"^\| `(\w+)` \| `OBSERVATORY_", README, re.MULTILINE)
    )
    assert all(setting.variable in README for setting in SETTINGS)


FIELD_SETS = [
    DEAD_LETTERS,
    EVENTS,
    AGENTS,
    LANES,
    ENTRIES,
    PENDING,
    TASKS,
    GROUPS,
    CONSUMERS,
    FINDINGS,
    COMMANDS,
    SLOW,
    CLIENTS,
]


@pytest.mark.parametrize("fields", FIELD_SETS, ids=lambda fields: fields.rows)
def test_every_field_of_a_filter_is_in_the_readme(fields: FieldSet[object]) -> None:
    """The table names each field of each list, marks those that words are looked for in, and no others."""
    row = re.search(rf"^\| {fields.rows} \| (.*) \|$", README, re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`(°?)", row[1]) == [(field.name, "°" if field.words else "") for field in fields.fields]


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)]+)\)", README))
def test_pictures_and_links_lead_somewhere(target: str) -> None:
    """Every file that the README refers to is there."""
    assert (Path(__file__).parents[2] / target).is_file()


@contextmanager
def _running(cli: Cli, name: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAMS[name]], stdout=subprocess.PIPE, text=True, env=cli.env(), cwd=cli.home
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)
