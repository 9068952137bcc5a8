"""What the last door does with errors that nobody foresaw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from observatory.cli import keys
from observatory.cli.main import main
from observatory.settings import state_dir
from observatory.settings.crash import redact

if TYPE_CHECKING:
    import argparse

    import pytest


def test_an_unforeseen_error_is_one_line_and_a_report_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The screen shows one line and a path; the report has places and no local variable, and is private."""

    def run(_args: argparse.Namespace) -> int:
        token = "s3cr3t-local"  # noqa: F841
        raise KeyError("redis://me:hunter2@host:6379")

    monkeypatch.setattr(keys, "run", run)
    monkeypatch.setattr("sys.argv", ["observatory", "--url", "redis://me:hunter2@host:6379", "keys"])
    assert main(["keys"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    problem, hint = err.splitlines()
    assert problem.startswith("observatory: unexpected KeyError")
    report = Path(hint.rsplit(" ", 1)[-1])
    assert report.is_relative_to(state_dir())
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text()
    assert "test_cli_main.py" in text
    assert "hunter2" not in text + err
    assert "'s3cr3t" not in text


def test_an_interrupt_is_130_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is not an error that needs explaining."""

    def run(_args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(keys, "run", run)
    assert main(["keys"]) == 130
    assert capsys.readouterr() == ("", "")


def test_secrets_are_masked_wherever_they_stand() -> None:
    """Addresses, query parameters and password-like assignments lose their value and keep their shape."""
    assert redact("at redis://me:hunter2@host:1/0 x") == "at redis://***@host:1/0 x"
    assert redact("unix:///run/engine.sock?password=hunter2&db=1") == "unix:///run/engine.sock?password=***&db=1"
    assert redact("token: abc, next") == "token: ***, next"
