"""Nodes for the tests of this folder: on the real engine and on the one in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import foundation
from tests.waiting import eventually

StartNodes = Callable[..., Awaitable[list[foundation.Cluster]]]


@pytest.fixture(params=["memory", "zenoh"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def start_nodes(transport: str) -> AsyncGenerator[StartNodes]:
    """Start nodes that all know each other; they are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(*names: str, **options: Any) -> list[foundation.Cluster]:
            nodes: list[foundation.Cluster] = []
            for name in names:
                peers = [nodes[0].address] if nodes else []
                given: dict[str, Any] = {
                    "cluster": "static",
                    "cookie": "tests",
                    "transport": transport,
                    "handle_signals": False,
                }
                starting = foundation.start_cluster(name=name, peers=peers, **(given | options))
                nodes.append(await stack.enter_async_context(starting))
            await eventually(lambda: all(sum(map(_is_up, node.members())) == len(nodes) for node in nodes))
            return nodes

        yield start


def _is_up(member: foundation.Member) -> bool:
    return member.status is foundation.MemberStatus.UP
