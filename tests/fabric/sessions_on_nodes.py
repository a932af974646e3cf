"""Sessions of an engine on the nodes of a cluster under test: opened there, and told from the test what to do.

The node lends its place in the network and its event loop; its own session is another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from foundation import Cluster
from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import clock, new_node_id
from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.transport import SessionSettings, TransportSession, Undo
from tests.waiting import eventually


class Heard(NamedTuple):
    """What a session was told, and when: ``there`` and ``gone`` of a token, ``got`` of a message."""

    at: float
    what: str
    key: str
    size: int
    text: str


@dataclass
class Opened:
    """A session, and what it has heard."""

    session: TransportSession
    settings: SessionSettings
    heard: list[Heard] = field(default_factory=list[Heard])
    tokens: dict[str, Undo] = field(default_factory=dict[str, Undo])

    def changed(self, token: str, is_there: bool) -> None:
        self.heard.append(Heard(clock().now(), "there" if is_there else "gone", token, 0, ""))

    def receive(self, key: str, payload: bytes) -> None:
        self.heard.append(Heard(clock().now(), "got", key, len(payload), payload[:20].decode()))


_opened: dict[str, Opened] = {}
"""By the id of the node: simulated nodes share this module."""


async def open_session(cluster: Cluster, transport: str, lease_s: float) -> list[str]:
    """Open a session, which from now on stands for this node; return its id and its endpoints."""
    settings = SessionSettings(
        node=new_node_id(),
        namespace="foundation/contract",
        cookie=Secret("secret"),
        host=cluster.address.rpartition(":")[0],
        port=0,
        lease_s=lease_s,
        open_timeout_s=10.0,
        introduction_timeout_s=2.0,
    )
    lost: list[str] = []
    opened = Opened(await TRANSPORTS.find(transport)().open(settings, lost.append), settings)
    _opened[cluster.node.node_id] = opened
    opened.session.watch("presence/**", opened.changed)
    opened.session.subscribe("to/everybody", opened.receive)
    opened.session.subscribe(f"to/{cluster.name}", opened.receive)
    return [settings.node, *opened.session.endpoints]


async def introduce(cluster: Cluster, node: str, endpoints: list[str]) -> None:
    await _of(cluster).session.introduce(NodeId(node), endpoints)


async def declare(cluster: Cluster, token: str) -> None:
    opened = _of(cluster)
    opened.tokens[token] = opened.session.declare(token)


async def put(cluster: Cluster, key: str, texts: list[str], size: int) -> None:
    for text in texts:
        _of(cluster).session.put(key, text.encode().ljust(size))


async def heard(cluster: Cluster) -> list[list[str | float]]:
    return [list(each) for each in _of(cluster).heard]


async def until_heard(cluster: Cluster, what: str, key: str, count: int, within_s: float) -> float:
    """Wait until a session has been told that so many times; return when it was told last."""
    opened = _of(cluster)
    times = await eventually(lambda: _times(opened, what, key, count), within_s=within_s)
    return times[count - 1]


async def close(cluster: Cluster) -> None:
    await _opened.pop(cluster.node.node_id).session.close()


def _of(cluster: Cluster) -> Opened:
    return _opened[cluster.node.node_id]


def _times(opened: Opened, what: str, key: str, count: int) -> list[float]:
    times = [each.at for each in opened.heard if (each.what, each.key) == (what, key)]
    assert len(times) >= count, opened.heard[-10:]
    return times
