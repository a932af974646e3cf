"""Addresses, and the checks of what comes from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.discovery.peers import MOST_ADDRESSES, Peer, checked_peers, format_address, parse_address
from foundation.errors import ConfigurationError
from tests.discovery.announcing import announcement, peer_of

ME = announcement("shop", "192.0.2.1:7001", "127.0.0.1:7001")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:1", ("host", 1)),
        ("192.0.2.1:65535", ("192.0.2.1", 65535)),
        ("host", ("host", 7)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", 7)),
        ("::1", ("::1", 7)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
    ],
)
def test_addresses_are_understood(text: str, expected: tuple[str, int]) -> None:
    """Names, IPv4 and IPv6, with a port or with the default one."""
    assert parse_address(text, 7) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "host:port"),
        ("tcp://host:1", "without a scheme"),
        ("host: 1", "spaces"),
        ("ho\nst:1", "host:port"),
        (":1", "host is missing"),
        ("host", "port is missing"),
        ("host:", "port is missing"),
        ("host:0", "1 to 65535"),
        ("host:65536", "1 to 65535"),
        ("host:-1", "1 to 65535"),
        ("host:²", "1 to 65535"),
        ("host:http", "1 to 65535"),
        ("[::1", "written"),
        ("[::1]80", "written"),
        ("[host]:80", "IPv6"),
        ("1:2:3", "IPv6"),
        ("h" * 1000 + ":1", "host:port"),
    ],
)
def test_wrong_addresses_are_named(text: str, why: str) -> None:
    """The error shows the address and says what is wrong with it."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        parse_address(text)
    assert repr(text[:100]) in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    """No text raises anything else, and what is accepted survives being written again."""
    try:
        host, port = parse_address(text, 7)
    except ConfigurationError:
        return
    assert parse_address(format_address(host, port)) == (host, port)


@pytest.mark.parametrize(
    "found",
    [
        None,
        5,
        "host:1",
        b"host:1",
        [None],
        ["host:1"],
        [("host:1",)],
        [Peer(cast("Any", ["host:1"]))],
        [Peer(cast("Any", "host:1"))],
        [Peer(())],
        [Peer(("host",))],
        [Peer(cast("Any", (1,)))],
        [Peer(("host:1",) * (MOST_ADDRESSES + 1))],
        [Peer(("host:1",), cast("Any", 5))],
        [Peer(("host:1",), None, cast("Any", []))],
        [Peer(("host:1",), None, "x" * 1000)],
        [Peer((f"host:{port}",)) for port in range(1, 12)],
    ],
)
def test_nonsense_is_refused(found: object) -> None:
    """Whatever is not a bounded number of peers with addresses is a TypeError, ValueError or ConfigurationError."""
    with pytest.raises((TypeError, ValueError, ConfigurationError)):
        checked_peers(found, ME, most=10)


def test_endless_generator_is_cut_off() -> None:
    """A lookup that never stops yielding is refused after the bound."""

    def endless() -> Iterator[Peer]:
        while True:
            yield Peer(("host:1",))

    with pytest.raises(ValueError, match="more than 10 peers"):
        checked_peers(endless(), ME, most=10)


def test_this_node_is_left_out() -> None:
    """This node is recognized by its identity, else by having none but its own addresses."""
    other = Peer(("192.0.2.2:7001",))
    twin = Peer(ME.addresses, NodeId("f" * 32))
    mixed = Peer(("192.0.2.1:7001", "192.0.2.2:7001"))
    found = [peer_of(ME), Peer(("192.0.2.1:7001",)), other, twin, mixed, other]
    assert checked_peers(found, ME, most=10) == {other, twin, mixed}
