"""Zenoh keeps the contract of an engine, and what is its own."""

from __future__ import annotations

import pytest

from foundation.errors import UnreachableError
from foundation.fabric import TlsOptions
from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.transport import Transport
from tests.certificates import Authorities
from tests.fabric.transport_contract import IN_VAIN_S, Sessions, TransportContract


class TestZenohTransport(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return TRANSPORTS.find("zenoh")()

    @pytest.fixture
    def nowhere(self) -> str:
        return "tcp/127.0.0.1:1"


class TestZenohTransportOverTls(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return TRANSPORTS.find("zenoh")()

    @pytest.fixture
    def nowhere(self) -> str:
        return "tls/127.0.0.1:1"

    @pytest.fixture
    def tls(self, authorities: Authorities) -> TlsOptions:
        return authorities.ours.node()

    async def test_all_links_are_tls(self, sessions: Sessions) -> None:
        """A session with certificates listens with TLS alone."""
        one, two = await sessions.linked()
        assert all(endpoint.startswith("tls/") for endpoint in (*one.endpoints, *two.endpoints))

    async def test_names_are_checked_where_that_is_wanted(self, sessions: Sessions, authorities: Authorities) -> None:
        """With ``verify_names`` a certificate must name the address, and one that does is enough."""
        sessions.tls = authorities.ours.node(verify_names=True)
        one, two = await sessions.linked()
        sessions.tls = authorities.ours.node("elsewhere.example")
        elsewhere = await sessions.open()
        sessions.tls = authorities.ours.node(verify_names=True)
        sessions.introduction_timeout_s = IN_VAIN_S
        three = await sessions.open()
        with pytest.raises(UnreachableError):
            await sessions.introduce(three, elsewhere)
        await sessions.introduce(two, one)

    @pytest.mark.parametrize("mutual", [True, False])
    async def test_another_authority_is_not_believed(
        self, sessions: Sessions, authorities: Authorities, mutual: bool
    ) -> None:
        """A session whose certificate another authority made is let in by nobody, and meets nobody."""
        sessions.introduction_timeout_s = IN_VAIN_S
        sessions.tls = authorities.ours.node(mutual=mutual)
        one = await sessions.open()
        sessions.tls = authorities.theirs.node(mutual=mutual)
        two = await sessions.open()
        with pytest.raises(UnreachableError):
            await sessions.introduce(two, one)
        with pytest.raises(UnreachableError):
            await sessions.introduce(one, two)

    async def test_a_certificate_is_wanted_of_both(self, sessions: Sessions, authorities: Authorities) -> None:
        """Who believes this session is not believed for that."""
        sessions.introduction_timeout_s = IN_VAIN_S
        one = await sessions.open()
        sessions.tls = authorities.theirs.node(believes=(authorities.ours,))
        two = await sessions.open()
        with pytest.raises(UnreachableError):
            await sessions.introduce(two, one)

    @pytest.mark.parametrize("lie", [False, True])
    async def test_no_link_in_the_clear(self, sessions: Sessions, lie: bool) -> None:
        """A session with TLS and one without never link, whoever asks, and whatever they claim to listen at."""
        sessions.introduction_timeout_s = IN_VAIN_S
        safe = await sessions.open()
        sessions.tls = None
        plain = await sessions.open()
        for one, other in ((safe, plain), (plain, safe)):
            wrong, right = ("tls/", "tcp/") if one is safe else ("tcp/", "tls/")
            endpoints = [e.replace(right, wrong) if lie else e for e in other.endpoints]
            with pytest.raises(UnreachableError):
                await one.introduce(sessions.nodes[other], endpoints)
