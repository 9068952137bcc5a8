"""The `[tmux]` table of the settings file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from observatory.model.errors import SettingsError
from observatory.model.terminal import DEFAULT_KINDS, Newlines
from observatory.settings import describe, load

if TYPE_CHECKING:
    from observatory.model.terminal import TerminalSettings

WHOLE = r"""
[tmux]
sessions = 'swarm-(?P<agent>.+)'
give_up = "10m"

[tmux.kinds.mine]
commands = ["mine"]
prompts = ['^mine> ?$']
busy = ["working"]
rows = 3
newlines = "keep"
cooldown = "250ms"
most = 4000
format = "{from}: {text}"

[tmux.kinds.claude]
cooldown = 2
"""


def read(folder: Path, text: str) -> TerminalSettings | None:
    """What a settings file says of terminals."""
    path = folder / "observatory.toml"
    path.write_text(text)
    return load(file=path).terminals


def test_the_table_is_read_and_shipped_kinds_are_changed_only_where_it_says_so(tmp_path: Path) -> None:
    """A new kind is complete; of a shipped one, what the file does not say stays."""
    found = read(tmp_path, WHOLE)
    assert found is not None
    assert found.give_up_s == 600
    assert found.sessions is not None
    mine = found.kinds["mine"]
    assert (mine.rows, mine.newlines, mine.cooldown_s, mine.most_bytes) == (3, Newlines.KEEP, 0.25, 4000)
    assert mine.format == "{from}: {text}"
    assert found.kinds["claude"].cooldown_s == 2
    assert found.kinds["claude"].prompts == DEFAULT_KINDS["claude"].prompts
    assert read(tmp_path, "") is None


def test_what_the_table_says_is_listed_among_the_settings(tmp_path: Path) -> None:
    """`observatory config` shows each key with its value and its line."""
    path = tmp_path / "observatory.toml"
    path.write_text(WHOLE)
    rows = {row.key: row for row in describe(load(file=path))}
    assert rows["tmux.give_up"].value == "10m"
    assert rows["tmux.kinds.claude.cooldown"].origin.endswith("line 17")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tmux = 1", "tmux: line 1: must be a table"),
        ("[tmux]\nsessions = 'x'", "tmux.sessions: line 2: must have a group"),
        ("[tmux]\nsessions = '('", "tmux.sessions: line 2: is no regular expression"),
        ("[tmux]\ngive_up = true", "tmux.give_up: line 2: must be a time"),
        ("[tmux]\nkinds = 1", "tmux.kinds: line 2: must be tables"),
        ("[tmux]\nsession = 'x'", "tmux.session: line 2: there is no such setting (did you mean sessions?)"),
        ("[tmux.kinds.x]\nrows = 1", "tmux.kinds.x: line 1: says no prompts"),
        ("[tmux.kinds.line]\nrows = 0", "tmux.kinds.line.rows: line 2: must be a number of rows from 1 to 50"),
        ("[tmux.kinds.line]\nprompts = 'x'", "tmux.kinds.line.prompts: line 2: must be a list"),
        ("[tmux.kinds.line]\nmost = 1", "tmux.kinds.line.most: line 2: must be a number of bytes from 80 to 65536"),
        ("[tmux.kinds.line]\nnewlines = 'no'", "tmux.kinds.line.newlines: line 2: must be one of keep, space"),
        ("[tmux.kinds.line]\nformat = 'x'", "tmux.kinds.line.format: line 2: must be a line with {text} in it"),
        ("[tmux.kinds.line]\ncommands = 'x'", "tmux.kinds.line.commands: line 2: must be a list of names"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """Each error says which key on which line, and what would be right."""
    with pytest.raises(SettingsError) as error:
        read(tmp_path, text)
    assert said in str(error.value)


def test_the_example_in_the_readme_can_be_used(tmp_path: Path) -> None:
    """It is a settings file that says what it is said to say."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(# agents in terminals.*?)```", readme, re.DOTALL)
    found = read(tmp_path, text)
    assert found is not None
    assert found.kinds["mine"].why_not_ready(["mine> "]) == ""
