"""The table of commands holds together, and every place that lists commands agrees with it."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections import Counter
from importlib import import_module
from string import punctuation
from typing import TYPE_CHECKING

import pytest
from textual.binding import Binding
from textual.keys import Keys

import observatory.tui
from observatory.model.commands import COMMANDS, VIEWS, Needs, Situation, command, commands_of, refusal
from observatory.model.snapshot import LinkState, Origin
from observatory.settings.keys import key_name
from observatory.tui.app.palette import CommandProvider
from observatory.tui.commands import commands_here, live_commands
from observatory.tui.dialogs.help import HelpPage, help_rows
from observatory.tui.screens.table import SCREENS
from tests.tui import seed

if TYPE_CHECKING:
    from pathlib import Path


def test_every_command_says_what_it_does() -> None:
    """Each has an id, a footer word, a sentence, a `:` name and a group."""
    for entry in COMMANDS:
        assert entry.id, entry
        assert entry.label, entry
        assert entry.description.endswith("."), entry
        assert re.fullmatch(r"[a-z][a-z-]*", entry.name), entry
        assert entry.group, entry


def test_ids_are_unique() -> None:
    """No two commands share an identity."""
    assert [identity for identity, times in Counter(entry.id for entry in COMMANDS).items() if times > 1] == []


@pytest.mark.parametrize("view", VIEWS)
def test_no_two_commands_of_a_view_share_a_key_or_a_name(view: str) -> None:
    """A key means one thing wherever it is pressed, and so does a word after the colon."""
    here = commands_of(view)
    for words in ([key for entry in here for key in entry.keys], [entry.name for entry in here]):
        assert [word for word, times in Counter(words).items() if times > 1] == []


def test_every_scope_belongs_to_a_view() -> None:
    """No command is declared for a place that does not exist, and every screen has its view."""
    assert {entry.scope for entry in COMMANDS} == {scope for scopes in VIEWS.values() for scope in scopes}
    assert set(SCREENS) <= set(VIEWS)


def test_every_key_is_one_that_a_terminal_can_send() -> None:
    """A key that Textual does not know (`esc`) would never arrive."""
    known = {key.value for key in Keys} | {key_name(sign) for sign in punctuation}
    for entry in COMMANDS:
        for key in entry.keys:
            assert len(key) == 1 or key in known, f"{entry.id}: {key}"


def test_upper_case_changes_and_lower_case_looks() -> None:
    """A lower-case letter opens a form or the plan of an undo at most, and ctrl+d is half a page."""
    for entry in COMMANDS:
        if entry.writes and entry.scope != "form":
            assert all(key.isupper() or key in {"s", "e", "z", "plus", "minus"} for key in entry.keys), entry.id
    assert command("list.half-down").keys == ("ctrl+d",)
    assert not any("ctrl+d" in entry.keys for entry in COMMANDS if entry.writes)


def test_leaving_is_possible_by_two_keys() -> None:
    """Quit stays reachable where a terminal multiplexer or an editor swallows one of them."""
    assert command("app.quit").keys
    assert command("app.quit").priority
    assert "q" in command("app.back").keys


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (Situation(read_only=True), "read-only"),
        (Situation(origin=Origin.REPLAY), "the past"),
        (Situation(link=LinkState.LOST), "not reachable"),
        (Situation(link=LinkState.CONNECTING), "not reachable"),
    ],
)
def test_every_write_is_refused_for_the_same_reasons(situation: Situation, words: str) -> None:
    """Read-only, replay and a lost link take every writing command away, with the reason, and no other."""
    for entry in COMMANDS:
        assert (words in refusal(entry, situation)) is entry.writes, entry.id


def test_what_needs_a_row_is_refused_without_one() -> None:
    """Nothing selected is a reason too."""
    for entry in COMMANDS:
        assert bool(refusal(entry, Situation(selection=False))) is (entry.needs is Needs.SELECTION), entry.id


def test_every_binding_of_our_widgets_comes_from_the_table() -> None:
    """A binding that is declared elsewhere would be missing from help, palette and keymap."""
    table = {entry.id for entry in COMMANDS}
    for owner in _our_classes():
        for binding in vars(owner).get("BINDINGS", ()):
            assert isinstance(binding, Binding), owner
            assert binding.id in table, f"{owner.__name__}: {binding.key}"


def test_no_class_of_ours_shadows_a_private_name_of_textual() -> None:
    """A private attribute of ours with the name of one of Textual's breaks it in silence; one is on purpose."""
    made_by_textual = re.compile(r"_(inherit|merged|css|decorated|computes|reactives|abc)")
    for owner in _our_classes():
        bases = [base for base in owner.__mro__ if base.__module__.startswith("textual")]
        theirs = {name for base in bases for name in re.findall(r"self\.(_[a-z]\w*)", inspect.getsource(base))}
        theirs |= {name for base in bases for name in vars(base)}
        ours = {name for name in vars(owner) if re.match(r"_[a-z]", name) and not made_by_textual.match(name)}
        ours |= set(re.findall(r"self\.(_[a-z]\w*)(?:: [^=\n]+)? = ", inspect.getsource(owner)))
        assert ours & theirs <= {"_fatal_error"}, owner


@pytest.mark.parametrize("name", SCREENS)
async def test_palette_help_and_command_line_offer_every_command_of_the_screen(name: str, tmp_path: Path) -> None:
    """What the table says of a screen is what palette, help page and `:` line show on it."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press(*command(f"screen.{name}").keys)
        await pilot.pause()
        expected = {entry.id for entry in commands_of(name)}
        assert set(commands_here(app.screen)) == expected
        helped = {row.name for row in help_rows(app.screen, app.desk) if row.name}
        assert helped == {entry.name for entry in commands_of(name)}
        provider = CommandProvider(app.screen)
        offered = [hit.help async for hit in provider.discover()]
        assert sorted(filter(None, offered)) == sorted(entry.description for entry in commands_of(name))


async def test_the_help_page_explains_itself_and_closes(tmp_path: Path) -> None:
    """`?` opens the page over the screen, its own commands come from the table, esc closes it."""
    app, _, _ = seed.make_app(seed.swarm(), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpPage)
        assert set(live_commands(app.screen)) <= {entry.id for entry in commands_of("help")}
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpPage)


def _our_classes() -> list[type]:
    """Return every class of the screen room that Textual knows."""
    modules = [
        import_module(found.name) for found in pkgutil.walk_packages(observatory.tui.__path__, "observatory.tui.")
    ]
    classes = [
        owner for module in modules for owner in vars(module).values()
        if inspect.isclass(owner) and owner.__module__ == module.__name__
    ]  # fmt: skip
    return [owner for owner in classes if any(base.__module__.startswith("textual") for base in owner.__mro__)]
