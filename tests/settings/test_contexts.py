"""Several buses by name: which one is meant, what it brings along, and what is said when one is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.model.errors import SettingsError
from observatory.settings import config_file, describe, load, save_choice

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
url = "redis://usual"
theme = "ansi"
context = "test"

[contexts.prod]
url = "rediss://bob:hunter2@prod:6379/0"
colour = "red"
read_only = true
protected = true

[contexts.test]
url = "redis://test"
prefix = "lab"
"""


@pytest.fixture
def toml() -> Path:
    """The settings file in its usual place, with two contexts."""
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FILE)
    return path


def test_a_flag_chooses_a_context_and_beats_variables(toml: Path) -> None:
    """What the context says comes from the context; what it does not say is as without it; flags are nearer still."""
    environ = {"OBSERVATORY_URL": "redis://env", "OBSERVATORY_CONTEXT": "test", "OBSERVATORY_GROUP": "g"}
    settings = load({"context": "prod"}, environ=environ)
    assert settings.url == "rediss://bob:hunter2@prod:6379/0"
    assert (settings.context, settings.colour, settings.read_only, settings.protected) == ("prod", "red", True, True)
    assert (settings.prefix, settings.theme, settings.group) == ("cortex", "ansi", "g")
    assert settings.provenance("url") == f"context prod, file {toml} line 7"
    assert load({"context": "prod", "url": "redis://flag"}, environ=environ).url == "redis://flag"
    assert settings.contexts == ("prod", "test")


def test_a_context_that_is_not_named_by_a_flag_yields_to_variables(toml: Path) -> None:
    """Chosen by the file or by a variable, its values are nearer than the file's and farther than variables."""
    assert (load(environ={}).url, load(environ={}).prefix) == ("redis://test", "lab")
    chosen = load(environ={"OBSERVATORY_CONTEXT": "prod", "OBSERVATORY_URL": "redis://env"})
    assert (chosen.url, chosen.colour) == ("redis://env", "red")


def test_every_context_is_shown_without_its_secrets(toml: Path) -> None:
    """`config` lists what each context says, with its line and a masked password."""
    rows = {row.key: row for row in describe(load(environ={}))}
    assert rows["contexts.prod.url"].value == "rediss://bob:***@prod:6379/0"
    assert rows["contexts.prod.url"].origin == f"file {toml} line 7"
    assert rows["contexts.test.prefix"].value == "lab"
    assert rows["prefix"].origin.startswith("context test, file ")


def test_a_choice_does_not_disturb_the_contexts(toml: Path) -> None:
    """Keeping a theme in a file with tables changes that line only."""
    save_choice("theme", "high-contrast")
    assert toml.read_text() == FILE.replace('theme = "ansi"', 'theme = "high-contrast"')
    save_choice("group", "agents")
    assert load(environ={}).group == "agents"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[contexts.prod]\nurl = 7\n", "contexts.prod.url: line 2: must be a line of text"),
        ('[contexts.prod]\ncolor = "red"\n', "contexts.prod.color: line 2: a context has no such setting"),
        ('[contexts.prod]\ncolour = "reddish"\n', "contexts.prod.colour: line 2: must be one of red, orange"),
        ('[contexts.prod]\ndata_dir = "/x"\n', "contexts.prod.data_dir: line 2: a context has no such setting"),
        ('[contexts]\nprod = "redis://h"\n', "contexts.prod: line 2: must be a table"),
        ('[contexts."a b"]\nurl = "redis://h"\n', "a context is called by"),
    ],
)
def test_a_wrong_context_is_named_with_key_and_line(toml: Path, text: str, said: str) -> None:
    """The error says which key of which context on which line."""
    toml.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(environ={})
    assert said in str(caught.value)


def test_a_context_that_is_not_there_is_named_by_who_asked(toml: Path) -> None:
    """By a flag, by a variable, by the file itself; the nearest known name is offered."""
    with pytest.raises(SettingsError, match=r"--context: there is no context 'prd' \(did you mean prod\?\)"):
        load({"context": "prd"}, environ={})
    with pytest.raises(SettingsError, match="OBSERVATORY_CONTEXT: there is no context 'x'"):
        load(environ={"OBSERVATORY_CONTEXT": "x"})
    toml.write_text('context = "gone"\n')
    with pytest.raises(SettingsError, match="context in the settings file: there is no context 'gone'"):
        load(environ={})
