"""What is asked for at run time is checked as a file is, and what cannot be changed says what to do instead."""

from __future__ import annotations

from typing import Any

import pytest

from foundation.config import load_config
from foundation.config.changes import changed, checked_changes
from foundation.discovery import DiscoveryOptions
from foundation.errors import ConfigurationError
from tests.config.test_broken import FILES

CONFIG = load_config({"cookie": "tests", "config": ""}, {})

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (
        {"membership.down_after": 20},
        "reconfigure: membership.down_after: there is no such key; did you mean membership.down_after_s?",
    ),
    "no number": (
        {"membership.down_after_s": "soon"},
        "reconfigure: membership.down_after_s must be a number, not 'soon'",
    ),
    "no whole number": (
        {"processes": {"mailbox_capacity": 1.5}},
        "reconfigure: processes.mailbox_capacity must be a whole number, not 1.5",
    ),
    "truth for a number": (
        {"processes.mailbox_capacity": True},
        "reconfigure: processes.mailbox_capacity must be a whole number, not true",
    ),
    "negative": (
        {"discovery.backoff.first_s": -1},
        "reconfigure: discovery.backoff.first_s must not be negative, not -1",
    ),
    "no rest": (
        {"membership.tick_s": 0},
        "reconfigure: membership.tick_s must be more than 0, not 0",
    ),
    "none at once": (
        {"distribution.batch": 0},
        "reconfigure: distribution.batch must be a number from 1, not 0",
    ),
    "a table": (
        {"membership.redial": 5},
        "reconfigure: membership.redial is a table; name the key in it: first_s, most_s, factor, jitter",
    ),
    "twice": (
        {"membership.tick_s": 1, "membership": {"tick_s": 2}},
        "reconfigure: membership.tick_s is given twice; leave one of them",
    ),
    "beneath a value": (
        {"membership.tick_s.x": 1},
        "reconfigure: membership.tick_s.x: membership.tick_s is a value, not a table",
    ),
    "a port, in short": (
        {"port": 4711},
        (
            "reconfigure: fabric.port cannot be changed at run time: it belongs to one node; change it where that node"
            " is configured, and restart the node"
        ),
    ),
    "a secret": (
        {"cookie": "hidden"},
        (
            "reconfigure: cookie cannot be changed at run time: credentials are replaced node by node, through their"
            " files or cluster.credentials.renew()"
        ),
    ),
    "certificates": (
        {"fabric.tls.certificate": "a.pem"},
        (
            "reconfigure: fabric.tls.certificate cannot be changed at run time: credentials are replaced node by node,"
            " through their files or cluster.credentials.renew()"
        ),
    ),
    "options of a strategy": (
        {"strategies": {"dns": {"name": "a"}}},
        (
            "reconfigure: strategies.dns.name cannot be changed at run time: strategies are made when a node starts;"
            " change it where each node is configured, and restart them in turn"
        ),
    ),
    "two at once": (
        {"nmae": "a", "membership.tick_s": "x"},
        (
            "2 problems in the configuration:\n"
            "  reconfigure: nmae: there is no such key; did you mean name?\n"
            "  reconfigure: membership.tick_s must be a number, not 'x'"
        ),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_done_is_explained(name: str) -> None:
    """The message names the key and what would do."""
    values, message = BROKEN[name]
    with pytest.raises(ConfigurationError) as caught:
        checked_changes(values, CONFIG)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["no number", "no whole number", "truth for a number"])
def test_a_value_is_checked_as_in_a_file(name: str) -> None:
    """The message is the same, but for the place."""
    assert BROKEN[name][1].partition(": ")[2] == FILES[name][1].partition(": ")[2]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"membership.down_after_s": 20}, {"membership.down_after_s": 20.0}),
        ({"membership.down_after_s": "20"}, {"membership.down_after_s": 20.0}),
        ({"membership": {"down_after_s": 20, "redial": {"first_s": 1}}}, None),
        ({"distribution.rebalance": "true"}, {"distribution.rebalance": True}),
        ({"processes.call_timeout_s": "none"}, {"processes.call_timeout_s": "none"}),
        ({"processes.call_timeout_s": None}, {"processes.call_timeout_s": None}),
        ({"discovery": DiscoveryOptions(poll_interval_s=3)}, {"discovery.poll_interval_s": 3.0}),
    ],
)
def test_values_come_in_their_types(values: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    """As texts of a command line, as numbers, as tables in tables and as records."""
    found = checked_changes(values, CONFIG)
    assert found == (wanted or {"membership.down_after_s": 20.0, "membership.redial.first_s": 1.0})
    assert all(type(value) is not int for value in found.values())


def test_a_change_leaves_the_rest() -> None:
    """Only the keys that are named have another value."""
    new = changed(CONFIG, {"membership.redial.first_s": 1.0, "processes.call_timeout_s": "none"})
    assert new.membership.redial.first_s == 1.0
    assert new.membership.redial.most_s == CONFIG.membership.redial.most_s
    assert new.processes.call_timeout_s is None
    assert changed(new, {"membership.redial.first_s": 0.2, "processes.call_timeout_s": 5.0}) == CONFIG
