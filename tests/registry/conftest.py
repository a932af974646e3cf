"""Nodes for the tests of this folder."""

from __future__ import annotations

from tests.cluster.conftest import start_nodes, transport

__all__ = ["start_nodes", "transport"]
