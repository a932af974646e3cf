"""Nodes for the tests of this folder, used from threads: on the real engine and on the one in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import pytest

import foundation
from foundation import blocking
from tests.blocking.samples import Counter
from tests.blocking.threads import eventually

StartNodes = Callable[..., list[blocking.Cluster]]


@pytest.fixture(params=["memory", "zenoh"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def nobody_waits_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test count its own handlers."""
    monkeypatch.setattr(Counter, "waiting", threading.Semaphore(0))
    monkeypatch.setattr(Counter, "cancelled", threading.Semaphore(0))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Generator[None]:
    """Threads of the library have ended when a test has; those of the engine itself are none of Python's."""
    before = set(threading.enumerate())
    yield
    eventually(lambda: set(threading.enumerate()) <= before)


@pytest.fixture
def start_nodes(transport: str) -> Generator[StartNodes]:
    """Start nodes that all know each other; they are stopped at the end of the test."""
    with ExitStack() as stack:

        def start(*names: str, **options: Any) -> list[blocking.Cluster]:
            nodes: list[blocking.Cluster] = []
            for name in names:
                peers = [nodes[0].address] if nodes else []
                given: dict[str, Any] = {"cluster": "static", "cookie": "tests", "transport": transport}
                given |= {"handle_signals": False}
                nodes.append(stack.enter_context(blocking.start_cluster(name=name, peers=peers, **(given | options))))
            eventually(lambda: all(sum(map(_is_up, node.members())) == len(nodes) for node in nodes))
            return nodes

        yield start


def _is_up(member: foundation.Member) -> bool:
    return member.status is foundation.MemberStatus.UP
