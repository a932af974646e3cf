"""The engine in memory keeps the contract of an engine, and its links can be cut."""

from __future__ import annotations

import pytest

from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.transport import Transport
from foundation.fabric.transports.memory import MemoryNetwork
from tests.fabric.transport_contract import TransportContract


class TestMemoryTransport(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return TRANSPORTS.find("memory")(MemoryNetwork())

    @pytest.fixture
    def nowhere(self) -> str:
        return "memory/127.0.0.1:0"
