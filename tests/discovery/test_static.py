"""The list of addresses, and how strategies are made from names and arguments."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from foundation.discovery.catalog import STRATEGIES, make_strategy
from foundation.discovery.peers import Peer
from foundation.discovery.strategies.static import StaticOptions, StaticStrategy
from foundation.errors import ConfigurationError, UnknownStrategyError
from tests.discovery.announcing import announcement


class Odd:
    """Not a strategy."""


async def test_static_returns_its_list() -> None:
    """Each address is a peer, with the default port where it has none, before and after a stop."""
    strategy = StaticStrategy(StaticOptions(("host:1", "other", "::1"), default_port=7))
    await strategy.stop()
    await strategy.start(announcement())
    assert list(await strategy.lookup()) == [Peer(("host:1",)), Peer(("other:7",)), Peer(("[::1]:7",))]
    await strategy.stop()
    await strategy.stop()


def test_static_refuses_a_wrong_address_when_made() -> None:
    """A mistake in the configuration shows at once, not as a failing lookup."""
    with pytest.raises(ConfigurationError, match=r"'host'.*the port is missing"):
        StaticStrategy(StaticOptions(("host",)))


def test_names_of_strategies() -> None:
    """The catalog lists the strategies and nothing else."""
    assert {"local", "mdns", "static"} <= set(STRATEGIES.names())


def test_arguments_are_converted() -> None:
    """Lists become tuples and whole numbers seconds, as a configuration file has them."""
    strategy = make_strategy("static", {"addresses": ["host:1"], "poll_interval_s": 3})
    assert strategy.poll_interval_s == 3.0


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("static", {"adresses": []}, "has no option 'adresses'; there are: addresses, default_port, poll_interval_s"),
        ("static", {"addresses": 5}, "cannot be used: .*addresses"),
        ("local", {"folder": 5}, "cannot be used: .*folder"),
        ("tests.discovery.test_static:Odd", {}, "is not a DiscoveryStrategy but Odd"),
        ("tests.discovery.test_static:Odd", {"x": 1}, "cannot be made"),
        ("no.such.module:Strategy", {}, "cannot be loaded"),
    ],
)
def test_wrong_arguments_are_named(name: str, arguments: dict[str, Any], why: str) -> None:
    """The error names the strategy, the option and what would do."""
    with pytest.raises(ConfigurationError, match=why):
        make_strategy(name, arguments)


def test_unknown_strategy_lists_those_there_are() -> None:
    """A name that does not exist is answered with the names that do."""
    with pytest.raises(UnknownStrategyError, match=r"hosts, .*local, mdns, .*static"):
        make_strategy("bonjour")


def test_libraries_are_loaded_with_their_strategy_only() -> None:
    """The library that a strategy stands on is not loaded for a node that uses another strategy."""
    text = (
        "import sys, foundation.discovery.discovery, foundation.discovery.catalog as c; c.make_strategy('static');"
        "print({'zeroconf', 'ifaddr'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "set()\n"
