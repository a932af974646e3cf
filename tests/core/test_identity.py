"""Identities are fresh, well-formed and comparable."""

from __future__ import annotations

import re

import msgspec

from foundation.core.identity import NodeId, ProcessId
from foundation.core.sources import new_node_id


def test_a_node_id_has_the_form_that_the_fabric_takes() -> None:
    """32 lower-case hexadecimal digits, the first not 0, and never the same twice."""
    ids = {new_node_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[1-9a-f][0-9a-f]{31}", node) for node in ids)


def test_a_process_id_survives_the_wire() -> None:
    """It is equal after a round trip, can be a key, and prints short."""
    process = ProcessId(NodeId("a" * 32), 7)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(process), type=ProcessId)
    assert again == process
    assert {process: 1}[again] == 1
    assert str(process) == "aaaaaaaa.7"
