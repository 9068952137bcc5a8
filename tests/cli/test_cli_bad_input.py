"""Bad input, seen through the real command: one clear line, the next step, the right exit code, nothing lost."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import subprocess
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from observatory.bus import Bus
from observatory.cli.main import build_parser
from observatory.cli.parser import leaves
from observatory.engine import Engine
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from observatory.bus import TaskContext
    from observatory.model.task import Task
    from tests.cli.conftest import Cli


@pytest.mark.parametrize("url", ["nonsense", "ftp://localhost:6379", "redis://host:notaport"])
def test_a_wrong_url_is_a_usage_error(cli: Cli, url: str) -> None:
    """An address that cannot name a bus is refused before anything is connected."""
    cli("status", "--url", url).refused(2, "observatory: ")


def test_a_refused_connection_names_the_address(cli: Cli) -> None:
    """Where nothing listens, the error says where, and the exit code says unreachable."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        cli("status", "--url", f"redis://127.0.0.1:{port}").refused(3, f"127.0.0.1:{port}", "hint:")


def test_a_host_that_does_not_exist_is_unreachable(cli: Cli) -> None:
    """A name that no resolver knows is named."""
    cli("status", "--url", "redis://no-such-host.invalid:6379").refused(3, "no-such-host.invalid")


def test_a_socket_that_is_not_there_is_unreachable(cli: Cli, tmp_path: Path) -> None:
    """A unix socket path with nothing behind it is named."""
    cli("status", "--url", f"unix://{tmp_path}/none.sock").refused(3, "none.sock")


def test_a_wrong_password_is_told_without_the_password(cli: Cli, bus_url: str) -> None:
    """Refused credentials are unreachable, and what was tried is not repeated on the screen."""
    bad = bus_url.replace(bus_url.rsplit("password=", maxsplit=1)[-1], "hunter2-wrong")
    outcome = cli("status", "--url", bad)
    outcome.refused(3, "password")
    assert "hunter2" not in outcome.err


def test_a_server_that_speaks_http_is_not_a_redis(cli: Cli) -> None:
    """Whatever answers with HTTP is told apart from a Redis."""
    with _http_server() as port:
        cli("status", "--url", f"redis://127.0.0.1:{port}").refused(3, f"127.0.0.1:{port}", "Redis")


def test_a_lane_key_of_the_wrong_type_breaks_only_that_lane(bus_cli: Cli, raw: redis.Redis) -> None:
    """The lane is shown as broken with what is wrong, and all others go on."""
    raw.set("cortex:tasks:high", "not a stream")
    assert bus_cli("send", "deploy", "--priority", "low").code == 0
    status = bus_cli("status", "--json")
    lanes = {lane["priority"]: lane for lane in status.json["lanes"]}
    assert status.code == 0
    assert lanes["high"]["state"] == "broken"
    assert "WRONGTYPE" in lanes["high"]["problem"]
    assert lanes["high"]["length"] is None
    assert lanes["low"]["length"] == 1
    assert "broken" in bus_cli("status").out


def test_sending_into_a_key_of_the_wrong_type_loses_nothing(bus_cli: Cli, raw: redis.Redis) -> None:
    """The error names the key, and whatever stood there still does."""
    raw.set("cortex:tasks:high", "not a stream")
    bus_cli("send", "deploy", "--priority", "high").refused(1, "cortex:tasks:high")
    assert raw.get("cortex:tasks:high") == b"not a stream"


def test_dead_letters_of_the_wrong_type_are_named(bus_cli: Cli, raw: redis.Redis) -> None:
    """Where the dead-letter stream should be there is something else: listing fails with its key, status goes on."""
    raw.set("cortex:tasks:dlq", "not a stream")
    bus_cli("dlq", "ls").refused(1, "cortex:tasks:dlq", "WRONGTYPE")
    status = bus_cli("status", "--json")
    assert status.code == 0
    assert status.json["dead_letters"]["total"] is None
    assert "dead letters: ?" in bus_cli("status").out


async def test_a_malformed_entry_is_kept_whole_in_the_dead_letters(
    bus_cli: Cli, raw: redis.Redis, bus_url: str
) -> None:
    """An entry that cannot be a task is dead-lettered with its raw fields, where `dlq` shows it."""
    raw.xadd("cortex:tasks:normal", {b"\xff\xfe": b"\x00\x1b[31m", "colour": "green"})
    async with Bus.connect(bus_url) as bus, asyncio.TaskGroup() as group:
        worker = bus.worker("pink", {"*": _never}, queues=("shared",))
        group.create_task(worker.run())
        await eventually(lambda: raw.xlen("cortex:tasks:dlq"))
        worker.stop()
    (dead,) = bus_cli("dlq", "ls", "--json").json["dead_letters"]
    assert dead["reason"] == "malformed"
    assert ["colour", "green"] in dead["fields"]
    shown = bus_cli("dlq", "show", dead["id"])
    assert shown.code == 0
    assert "colour: green" in shown.out
    assert "\x1b" not in shown.out


def test_a_foreign_dead_letter_without_any_known_field_is_listed(bus_cli: Cli, raw: redis.Redis) -> None:
    """What nothing says is `?`, and hostile text reaches the terminal only as pictures of itself."""
    raw.xadd("cortex:tasks:dlq", {"last_error": "\x1b]52;c;aGk=\x07 \u202e[red]"})
    listed = bus_cli("dlq", "ls")
    assert listed.code == 0
    assert "?" in listed.out
    assert not {"\x1b", "\x07", "\u202e"} & set(listed.out)


def test_an_unknown_theme_is_named_with_the_ones_there_are(cli: Cli) -> None:
    """A theme that does not exist is a usage error that names those that do."""
    cli("--theme", "nope").refused(2, "nope", "observatory-dark")


def test_a_broken_theme_file_is_named_and_the_others_stay(cli: Cli) -> None:
    """`themes` lists what can be used and says which file cannot, and why."""
    folder = Path(cli("config", "path", "--json").json["themes"])
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('name = "mine"\nprimary = "not a colour"\n')
    (folder / "torn.toml").write_text('name = "torn\n')
    outcome = cli("themes")
    assert outcome.code == 2
    assert "observatory-dark" in outcome.out
    assert "mine.toml" in outcome.err
    assert "primary" in outcome.err
    assert "torn.toml" in outcome.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("refresh_s = \n", ("line 1",)),
        ('refresh_s = "soon"\n', ("refresh_s",)),
        ('colours = "blue"\n', ("colours", "did you mean colour?")),
    ],
)
def test_a_broken_config_file_names_file_and_key(cli: Cli, text: str, words: tuple[str, ...]) -> None:
    """A file of settings that cannot be taken stops every verb before anything is connected."""
    file = Path(cli("config", "path", "--json").json["config"])
    file.parent.mkdir(parents=True)
    file.write_text(text)
    for verb in (("status",), ("config",), ("send", "deploy"), ()):
        cli(*verb).refused(2, str(file), *words)


def test_a_config_file_that_is_not_there_is_named(cli: Cli) -> None:
    """`--config` with a wrong path is not ignored."""
    cli("status", "--config", "missing.toml").refused(2, "missing.toml")


def test_a_port_in_use_is_named(cli: Cli) -> None:
    """The engine does not start on a port that somebody else has."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cli("engine", "start", "--port", str(port)).refused(1, str(port), "hint:")
    assert cli("engine", "status").code == 1


def test_a_data_directory_in_use_by_another_instance_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    """A second engine on the same directory is refused, and the first goes on serving."""
    with Engine(tmp_path / "data") as engine:
        cli("engine", "start", "--data-dir", str(engine.directory)).refused(1, str(engine.directory), "in use")
        assert cli("status", "--data-dir", str(engine.directory), "--json").json["link"]["state"] == "ready"


@pytest.mark.parametrize(("words", "hint"), [((), "observatory status"), (("demo",), "demo --headless")])
def test_full_screen_verbs_need_a_terminal(cli: Cli, words: tuple[str, ...], hint: str) -> None:
    """With stdout in a pipe the app does not start, and the error names the headless way."""
    cli(*words).refused(2, "not a terminal", hint)


def test_a_closed_stdin_is_no_terminal_either(cli: Cli) -> None:
    """With a terminal to draw on but no keys to read, the app does not start."""
    master, terminal = pty.openpty()
    try:
        done = subprocess.run(
            cli.command(), stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE, env=cli.env(), check=False
        )
    finally:
        os.close(terminal)
        os.close(master)
    assert done.returncode == 2
    assert b"standard input is not a terminal" in done.stderr


def test_no_bus_and_no_engine_says_how_to_get_one(cli: Cli) -> None:
    """A headless verb never starts an engine behind one's back; it says how."""
    cli("status").refused(3, "no bus is configured", "observatory engine start")


async def _never(_task: Task, _context: TaskContext) -> None:
    raise AssertionError("a malformed entry reached a handler")


@contextmanager
def _http_server() -> Iterator[int]:
    """Serve one fixed HTTP answer to everyone, whatever they say, until the block ends."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_flag_that_a_verb_does_not_know_names_the_help_of_the_verb(cli: Cli) -> None:
    """Not the help of the whole program; and a delay that lies in the past is no flag but a wrong value."""
    cli("dlq", "ls", "--nonsense").refused(2, "observatory dlq ls --help")
    cli("send", "deploy", "--delay", "-5s").refused(2, "-5s")
    cli("--nonsense").refused(2, "observatory --help")


def test_help_fits_a_small_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences of every help page end within 80 columns; only indented examples are as long as they are."""
    monkeypatch.setenv("COLUMNS", "80")
    for words, parser in leaves(build_parser()):
        long = [row for row in parser.format_help().splitlines() if len(row) > 80 and not row.startswith(" ")]
        assert not long, " ".join(words)
