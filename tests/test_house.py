"""The rules of the house that no single room can see: who imports what, what a verb loads, what a wheel holds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from observatory.cli.main import build_parser
from observatory.cli.parser import leaves

ROOT = Path(__file__).parent.parent

HEAVY = ("textual", "rich", "plotext", "duckdb")
"""Packages that no headless verb may load."""

RUNNER = """
import json, sys
from observatory.cli.main import main
code = main(sys.argv[1:])
print(json.dumps({"code": code, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}), file=sys.stderr)
"""

HEADLESS = {
    "version": (["--version"], 0),
    "help": (["--help"], 0),
    "status": (["status"], 0),
    "status as JSON": (["status", "--json"], 0),
    "send": (["send", "deploy"], 0),
    "dead letters": (["dlq", "ls"], 0),
    "causes": (["dlq", "ls", "--group-by", "cause"], 0),
    "lanes": (["lanes", "--rates", "0", "--filter", "backlog>0"], 0),
    "groups": (["groups"], 0),
    "pending": (["pending", "--filter", "idle>1s"], 0),
    "entries": (["entries", "high"], 0),
    "agents": (["agents"], 0),
    "tasks": (["tasks", "--filter", "type:x"], 0),
    "check": (["check", "--crit", "dlq>0"], 0),
    "snapshot": (["snapshot", "--format", "json"], 0),
    "metrics": (["metrics"], 0),
    "alert rules": (["alerts", "--rules"], 0),
    "requeue": (["dlq", "requeue", "1-1"], 1),
    "keys": (["keys"], 0),
    "themes": (["themes"], 0),
    "config": (["config"], 0),
    "engine status": (["engine", "status"], 1),
    "a usage error": (["status", "--nonsense"], 2),
}


@pytest.mark.parametrize("name", HEADLESS)
def test_headless_verbs_load_nothing_heavy(name: str, bus_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb that draws no screen loads neither Textual nor DuckDB nor what they bring."""
    words, code = HEADLESS[name]
    monkeypatch.setenv("OBSERVATORY_URL", bus_url)
    assert _loaded(words, code).isdisjoint(HEAVY)


def test_tail_loads_nothing_heavy(bus_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Following the log loads no screen either, up to the moment it is interrupted."""
    runner = RUNNER.replace("import json, sys", "import json, sys, signal; signal.setitimer(signal.ITIMER_REAL, 1.0)")
    runner = runner.replace("code = main", "signal.signal(signal.SIGALRM, signal.default_int_handler)\ncode = main")
    monkeypatch.setenv("OBSERVATORY_URL", bus_url)
    assert _loaded(["tail"], 130, runner).isdisjoint(HEAVY)


def test_version_and_help_load_almost_nothing() -> None:
    """The two verbs that everything waits for load no other room of the house and no library beside it."""
    loaded = _loaded(["--version"], 0) | _loaded(["--help"], 0)
    assert loaded.isdisjoint({*HEAVY, "redis", "pydantic", "platformdirs", "asyncio", "dataclasses", "json.decoder"})


def test_every_verb_has_help() -> None:
    """Each verb and each verb of a verb says what it does, and so does each of its arguments."""
    for words, parser in leaves(build_parser()):
        assert parser.description, words
        for action in parser._actions:
            assert action.help or action.metavar == "VERB", (words, action.dest)


@pytest.mark.parametrize("words", [words for words, _ in leaves(build_parser())], ids=" ".join)
def test_help_is_printed(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of every verb works: no stray `%`, no missing text."""
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*words, "--help"])
    assert ended.value.code == 0
    assert "usage: observatory" in capsys.readouterr().out


def test_imports_go_down_only() -> None:
    """The import contracts in pyproject.toml hold."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_installed_wheel_is_complete(tmp_path: Path) -> None:
    """The wheel holds everything that the code reads beside itself, and nothing that belongs to development."""
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "screenshots")
    shutil.copytree(ROOT, source, ignore=ignore)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--quiet", "--wheel-dir", tmp_path],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "observatory = observatory.cli.main:main" in archive.read(entry_points).decode()
    data = {path for path in (ROOT / "observatory").rglob("*") if path.is_file() and path.suffix not in {".pyc", ".py"}}
    expected = {str(path.relative_to(ROOT)) for path in data}
    expected |= {f"observatory/settings/themes_data/{path.name}" for path in (ROOT / "themes").glob("*.toml")}
    assert expected <= names
    for suffix in (r"\.lua", r"\.tcss", r"themes_data/[^/]+\.toml", r"/py\.typed"):
        assert any(re.search(f"{suffix}$", name) for name in names), suffix
    assert not [name for name in names if name.startswith(("tests", "screenshots"))]


def _loaded(words: list[str], code: int, runner: str = RUNNER) -> set[str]:
    """Run the command in a fresh interpreter; return the packages that were loaded when it had ended."""
    done = subprocess.run(
        [sys.executable, "-c", runner, *words], capture_output=True, text=True, timeout=60, check=False
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["code"] == code, done
    return set(told["loaded"])
