"""Zenoh keeps the contract of an engine, and what is its own."""

from __future__ import annotations

import pytest

from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.transport import Transport
from tests.fabric.transport_contract import TransportContract


class TestZenohTransport(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return TRANSPORTS.find("zenoh")()

    @pytest.fixture
    def nowhere(self) -> str:
        return "tcp/127.0.0.1:1"
