"""The keymap file: what is pressed is what was written, and what is wrong is named by file, key and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.keys import Keys, _character_to_key

from observatory.model.commands import COMMANDS, VIEWS, command
from observatory.model.errors import SettingsError
from observatory.settings import keymap_file
from observatory.settings.keymap import PRESETS, clashes, keymap, preset_keymap
from observatory.settings.keys import NAMED, is_typed, key_name, key_shown

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file() -> Path:
    """The place of the user's keymap, in a folder that is there."""
    path = keymap_file()
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x", "x"), ("X", "X"), ("?", "question_mark"), ("question_mark", "question_mark"), (":", "colon"),
        ("/", "slash"), ("<", "less_than_sign"), ("+", "plus"), (",", "comma"), (" ", "space"), ("Space", "space"),
        ("esc", "escape"), ("PgDn", "pagedown"), ("f5", "f5"), ("ctrl+F", "ctrl+f"), ("Ctrl+PageUp", "ctrl+pageup"),
        ("shift+a", "A"), ("alt+x", "alt+x"), ("ctrl+alt+x", "alt+ctrl+x"), ("shift+tab", "shift+tab"),
        ("ctrl+space", "ctrl+@"), ("ctrl+@", "ctrl+@"), ("ctrl++", "ctrl+plus"), ("é", "é"),
    ],
)  # fmt: skip
def test_keys_are_read_as_people_write_them(text: str, name: str) -> None:
    """Characters, words and short words become the names of the toolkit, and naming them again changes nothing."""
    assert key_name(text) == name
    assert key_name(name) == name
    assert key_name(key_shown(name)) == name


@pytest.mark.parametrize(
    "text", ["", "f25", "C-x", "ctrl", "ctrl+", "hyper+x", "ctrl+ctrl+x", "escap", "\x1b", "\ud800", "bell", "ctrl+ab"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """The reason says what may be written instead, in printable words."""
    with pytest.raises(ValueError, match="there is no key") as caught:
        key_name(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "said"), [("ctrl+i", "sends tab"), ("ctrl+m", "sends enter"), ("ctrl+shift+a", "the same")]
)
def test_what_a_terminal_cannot_send_is_refused(text: str, said: str) -> None:
    """A key that would never arrive, or arrive as another one, is no key."""
    with pytest.raises(ValueError, match=said):
        key_name(text)


def test_the_names_are_those_of_the_toolkit() -> None:
    """Every character has the name that Textual gives it, and every named key is one that Textual knows."""
    for code in range(0x21, 0x7F):
        assert key_name(chr(code)) == _character_to_key(chr(code))
    assert NAMED - {key.value for key in Keys} == set()
    assert [key_name(key) for entry in COMMANDS for key in entry.keys] == [
        key for entry in COMMANDS for key in entry.keys
    ]


def test_what_writes_text_is_known() -> None:
    """Letters and signs write into a text field, function keys and arrows do not."""
    assert [is_typed(key) for key in ("x", "question_mark", "space", "f1", "ctrl+x", "left")] == [True] * 3 + [
        False
    ] * 3


@given(st.text(max_size=12))
def test_any_text_is_a_key_or_is_refused(text: str) -> None:
    """Nothing but ValueError comes of it, and a name stays what it is."""
    try:
        name = key_name(text)
    except ValueError:
        return
    assert key_name(name) == name


def test_without_a_file_the_defaults_hold() -> None:
    """No keymap is no problem."""
    found = keymap()
    assert found.problems == ()
    assert found.changed == {}
    assert all(found.keys[entry.id] == entry.keys for entry in COMMANDS)


def test_a_file_wins_over_its_preset_and_that_over_the_defaults(file: Path) -> None:
    """Each command has the keys of the nearest that names it, and says where they come from."""
    file.write_text(
        'preset = "vim"\n[keys]\n"list.copy-json" = "f6"\napp.freeze = ["f8", "f7"]\ndead-letters.requeue = []\n'
    )
    found = keymap()
    assert found.problems == ()
    for identity, keys, origin in (
        ("list.copy", ("y",), "preset vim"),
        ("list.copy-json", ("f6",), "file"),
        ("app.freeze", ("f8", "f7"), "file"),
        ("dead-letters.requeue", (), "file"),
        ("task.send", ("s",), "default"),
    ):
        assert (found.keys[identity], found.origins[identity]) == (keys, origin)


def test_two_keys_can_be_swapped(file: Path) -> None:
    """Only what both end up with counts."""
    file.write_text('[keys]\napp.freeze = "s"\ntask.send = "p"\n')
    assert keymap().problems == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[keys]\napp.freez = "x"', "keys.app.freez: line 2: there is no such command (did you mean app.freeze?)"),
        ('[keys]\n"app.freez" = "x"', "keys.app.freez: line 2: there is no such command"),
        ('[keys.app]\n\nfreez = "x"', "keys.app.freez: line 3: there is no such command"),
        ('[keys]\napp.freeze = "f99"', "keys.app.freeze: line 2: there is no key 'f99'"),
        ("[keys]\napp.freeze = 5", "keys.app.freeze: line 2: must be a key such as"),
        ('[keys]\napp.freeze = ["x", 5]', "keys.app.freeze: line 2: must be a key such as"),
        (
            '[keys]\napp.freeze = "s"',
            "keys.app.freeze: line 2: s also means task.send (Send) in overview (give task.send",
        ),
        ('[keys]\nlist.down = "f3"\nlist.up = "f3"', "line 3: f3 also means list.down (Down) in overview"),
        ("[keys]\napp.quit = []", "keys.app.quit: line 2: must keep a key"),
        ('[keys]\napp.quit = "x"', "keys.app.quit: line 2: x is needed in text fields"),
        ('[keys]\napp.palette = "question_mark"', "keys.app.palette: line 2: ? is needed in text fields"),
        ('preset = "emacs"', "preset: line 1: must be one of k9s, lazygit, vim"),
        ("preset = 5", "preset: line 1: must be one of"),
        ('prset = "vim"', "prset: line 1: there is no such key (did you mean preset?)"),
        ("keys = 5", "keys: line 1: must be a table"),
        ("[keys", "line 1: this is not TOML"),
    ],
)
def test_what_is_wrong_is_named_and_the_defaults_hold(file: Path, text: str, said: str) -> None:
    """File, key and line are said, and nobody works with half of a keymap."""
    file.write_text(f"{text}\n")
    found = keymap()
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{file}: ")
    assert said in found.problems[0]
    assert found.changed == {}


def test_everything_that_is_wrong_is_named_at_once(file: Path) -> None:
    """Nobody has to mend a file one error at a time."""
    file.write_text('preset = "emacs"\n[keys]\nnothing = "x"\napp.freeze = "f99"\nlist.up = "s"\n')
    assert [problem.split(": ")[2] for problem in keymap().problems] == ["line 1", "line 3", "line 4", "line 5"]


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    """The usual one may be missing, a named one not; a folder in its place is a sentence too."""
    assert keymap(tmp_path / "none.toml").problems == (f"{tmp_path / 'none.toml'}: there is no such keymap file",)
    assert "cannot be read" in keymap(tmp_path).problems[0]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_together(name: str) -> None:
    """Its commands exist, its keys are keys, no key means two things in a view, and leaving stays possible."""
    found = preset_keymap(name)
    assert list(clashes(found.keys)) == []
    assert set(PRESETS[name]) <= {entry.id for entry in COMMANDS}
    for keys in PRESETS[name].values():
        assert [key_name(key) for key in keys] == list(keys)
    assert found.keys["app.quit"]
    assert found.changed.keys() == PRESETS[name].keys()


def test_an_unknown_preset_is_refused() -> None:
    """With the nearest that there is."""
    with pytest.raises(SettingsError, match="did you mean lazygit"):
        preset_keymap("lazygti")


def test_the_defaults_clash_nowhere() -> None:
    """And a clash that is made is found, once, in the first view that has both."""
    keys = {entry.id: entry.keys for entry in COMMANDS}
    assert list(clashes(keys)) == []
    keys["list.up"] = ("j",)
    assert list(clashes(keys)) == [(next(iter(VIEWS)), "j", command("list.down"), command("list.up"))]
