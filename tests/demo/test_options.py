"""What can be asked of the demo: names, ranges, scripts; nothing here starts a process."""

from __future__ import annotations

from itertools import islice

import pytest

from observatory.demo import INCIDENTS, DemoOptions
from observatory.demo.options import parse_incidents
from observatory.demo.roster import assemble, house
from observatory.demo.script import Tempo, cues
from observatory.demo.work import KINDS
from observatory.model.errors import UsageError


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"agents": 1}, "--agents 1"),
        ({"agents": 1001}, "--agents 1001"),
        ({"rate": 0}, "--rate 0"),
        ({"rate": float("nan")}, "--rate nan"),
        ({"seconds": 0.5}, "--seconds 0.5"),
        ({"seconds": float("nan")}, "--seconds nan"),
        ({"incidents": ("crash", "earthquake")}, "'earthquake'"),
    ],
)
def test_an_option_out_of_range_is_named(values: dict[str, object], names: str) -> None:
    """Each bad option raises a usage error that names option and value, and says what would be right."""
    with pytest.raises(UsageError) as caught:
        DemoOptions(**values)  # type: ignore[arg-type]
    assert names in caught.value.problem
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "incidents"),
    [("all", INCIDENTS), ("none", ()), ("", ()), (" Crash, cut,crash ", ("crash", "cut"))],
)
def test_incidents_are_read_as_people_write_them(text: str, incidents: tuple[str, ...]) -> None:
    """`all`, `none` and lists with stray blanks and repetitions mean what they say."""
    assert parse_incidents(text) == incidents


def test_options_survive_the_pipe() -> None:
    """What the director reads is what the caller asked for."""
    options = DemoOptions(seed=3, agents=20, rate=2.5, incidents=("cut",), seconds=9)
    assert DemoOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize("count", [2, 3, 8, 100, 1000])
def test_every_agent_has_a_name_of_its_own_and_every_queue_is_served(count: int) -> None:
    """A swarm of any size has unique names, lives in few processes, and leaves no queue without a worker."""
    agents = assemble(count)
    hosts = house(agents)
    assert len({agent.name for agent in agents}) == count
    assert sorted(agent.name for host in hosts for agent in host.agents) == sorted(agent.name for agent in agents)
    assert {kind.queue for kind in KINDS.values()} <= {queue for agent in agents for queue in agent.queues}
    assert len(hosts) <= 5 + count // 40
    assert any(host.solo for host in hosts)
    assert any(host.proxied for host in hosts)


def test_the_script_follows_from_the_seed_and_fits_into_the_run() -> None:
    """The same seed gives the same incidents at the same times; a short run has each once and ends calm."""
    short = DemoOptions(seed=7, seconds=20)
    first = list(cues(short, Tempo.of(short)))
    assert first == list(cues(short, Tempo.of(short)))
    assert sorted(cue.incident for cue in first) == sorted(INCIDENTS)
    assert all(cue.at_s + cue.lasts_s < 20 for cue in first)
    endless = DemoOptions(seed=8)
    later = list(islice(cues(endless, Tempo.of(endless)), 15))
    assert [cue.at_s for cue in later] == sorted(cue.at_s for cue in later)
    assert not list(cues(DemoOptions(incidents=()), Tempo.of(endless)))
