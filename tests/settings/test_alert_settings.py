"""Alert rules and sinks in the settings file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observatory.model.alert import DEFAULT_RULES
from observatory.model.errors import SettingsError
from observatory.model.health import Severity
from observatory.settings import config_file, describe, load

if TYPE_CHECKING:
    from pathlib import Path

    from observatory.settings.alerts import AlertSettings


@pytest.fixture
def toml() -> Path:
    """The settings file in its usual place, not yet written."""
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read(toml: Path, text: str) -> AlertSettings:
    """Return what *text* says of alerts."""
    toml.write_text(text)
    found = load(environ={}).alerts
    assert found is not None
    return found


def test_a_file_that_says_nothing_of_alerts_costs_nothing(toml: Path) -> None:
    """Without the table there is nothing to read, and the shipped rules hold."""
    toml.write_text('theme = "ansi"\n')
    assert load(environ={}).alerts is None
    assert read(toml, "[alerts]\n").rules == DEFAULT_RULES


def test_a_shipped_rule_is_changed_and_a_new_one_is_added(toml: Path) -> None:
    """What the file does not say of a shipped rule stays; a new rule needs what it watches."""
    found = read(
        toml,
        '[alerts]\nevents = true\nwebhook = "https://h/x"\ncommand = "notify-send \'a b\'"\n'
        '[alerts.rules.critical-waiting]\ncrit = "30s"\nfor = "1m"\n'
        "[alerts.rules.clock-skew]\nenabled = false\n"
        '[alerts.rules.coding-backlog]\nwatch = "lane.backlog"\nwarn = 100\ncrit = "5k"\n'
        'clear = 50\nsubjects = "coding*"\n',
    )
    assert (found.events, found.webhook, found.command) == (True, "https://h/x", ("notify-send", "a b"))
    rules = {rule.id: rule for rule in found.rules}
    waiting = rules["critical-waiting"]
    assert [(level.threshold, level.severity, level.over) for level in waiting.levels] == [(30, Severity.CRIT, 24)]
    assert (waiting.for_s, waiting.subjects) == (60, "*critical")
    assert not rules["clock-skew"].enabled
    backlog = rules["coding-backlog"]
    assert [(level.threshold, level.over) for level in backlog.levels] == [(100, 50), (5000, 50)]
    assert len(rules) == len(DEFAULT_RULES) + 1


def test_config_shows_what_the_file_says_of_alerts(toml: Path) -> None:
    """With its line; a secret in the address of the webhook is masked."""
    toml.write_text('[alerts]\nwebhook = "https://h/x?token=hunter2"\n[alerts.rules.memory]\ncrit = "95%"\n')
    rows = {row.key: row for row in describe(load(environ={}))}
    assert rows["alerts.webhook"].value == "https://h/x?token=***"
    assert rows["alerts.rules.memory.crit"].value == "95%"
    assert rows["alerts.rules.memory.crit"].origin == f"file {toml} line 4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[alerts]\nwebhok = "x"\n', "alerts.webhok: line 2: there is no such setting"),
        ('[alerts]\nwebhook = "ftp://x"\n', "alerts.webhook: line 2: must be an address that begins with http"),
        ("[alerts]\nevents = 1\n", "alerts.events: line 2: must be true or false"),
        ("[alerts]\ncommand = []\n", "alerts.command: line 2: must be a program"),
        ('[alerts.rules.memory]\ncrit = "much"\n', "alerts.rules.memory.crit: line 2: "),
        ("[alerts.rules.memory]\nabove = 1\n", "alerts.rules.memory.above: line 2: a rule says no such thing"),
        ("[alerts.rules.mine]\nwarn = 1\n", "alerts.rules.mine.watch: must be one of lane.backlog"),
        ('[alerts.rules.mine]\nwatch = "lane.backlog"\n', "alerts.rules.mine: line 1: levels"),
        ("[alerts.rules.memory]\nwarn = 90\ncrit = 10\n", "alerts.rules.memory: line 1: levels"),
        ('[alerts.rules.MINE]\nwatch = "lane.backlog"\nwarn = 1\n', "alerts.rules.MINE: line 1: id"),
        ("[alerts]\nrules = 3\n", "alerts.rules: line 2: must be tables"),
    ],
)
def test_a_wrong_rule_is_named_with_key_and_line(toml: Path, text: str, said: str) -> None:
    """File, key, line and what it must be."""
    toml.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(environ={})
    assert said in str(caught.value)
