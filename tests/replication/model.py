"""Tables of several nodes over a network that loses, doubles and reorders: ``python -m tests.replication.model 12``."""

from __future__ import annotations

import random
import sys

import msgspec

from foundation.core.identity import NodeId
from foundation.replication.messages import Delta
from foundation.replication.options import ReplicationOptions
from foundation.replication.replica import Replica

OPTIONS = ReplicationOptions(retention_s=30.0, piece_bytes=100, most_ahead=8)
KINDS: dict[str, type] = {"n": int}


def replica(name: str, options: ReplicationOptions = OPTIONS) -> Replica:
    return Replica(NodeId(name), KINDS, options)


def over_the_wire(delta: Delta) -> Delta:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(delta), type=Delta)


def give(source: Replica, target: Replica, owner: Replica | None = None, now: float = 0.0) -> int:
    """Bring a copy up to date, and return how many messages that took."""
    owner = owner or source
    pieces = [over_the_wire(piece) for piece in source.pieces(owner.me, target.version(owner.me))]
    for piece in pieces:
        target.apply(piece, now)
    return len(pieces)


def rows(copy: Replica, owner: Replica) -> dict[str, object]:
    table = copy.tables.get(owner.me)
    return {} if table is None else dict(table.values())


class Net:
    """Writers, copies of each other, and messages that come when and how they like."""

    def __init__(self, seed: int, nodes: int) -> None:
        self.chance = random.Random(seed)
        self.skew_s = [self.chance.uniform(-300, 300) for _ in range(nodes)]
        """By how much the clock of each place is wrong."""
        self.nodes = [replica(str(number + 1)) for number in range(nodes)]
        self.now = 0.0
        self.started = nodes
        self.flying: list[tuple[float, Replica, Delta]] = []
        self.truth: dict[str, dict[str, int]] = {node.me: {} for node in self.nodes}

    def step(self) -> None:  # noqa: C901 - a line for each thing that happens
        """Do something: write, deliver, lose, double, compare, collect, replace a node by a new one."""
        self.now += self.chance.random()
        self.flying = [message for message in self.flying if message[0] > self.now - OPTIONS.retention_s / 2]
        node = self.chance.choice(self.nodes)
        match self.chance.randrange(12):
            case 0 | 1 | 2 | 3:
                self.write(node)
            case 4 | 5 | 6 if self.flying:
                sent_at, target, delta = self.flying.pop(self.chance.randrange(len(self.flying)))
                if self.chance.random() < 0.2:
                    self.flying.append((sent_at, target, delta))
                if self.chance.random() > 0.2:
                    target.apply(over_the_wire(delta), self.clock(target))
            case 7 | 8:
                self.compare(node, self.chance.choice(self.nodes))
            case 9:
                node.collect(self.clock(node))
            case 10 if self.chance.random() < 0.1:
                self.restart(node)
            case 11 if self.chance.random() < 0.05:
                self.now += OPTIONS.retention_s * 2
            case _:
                self.spread(node)

    def clock(self, node: Replica) -> float:
        """Return what time a node believes it is."""
        return self.now + self.skew_s[self.nodes.index(node)]

    def write(self, node: Replica) -> None:
        key = f"n{self.chance.randrange(12)}"
        value = self.chance.randrange(1000) if self.chance.random() < 0.7 else None
        node.write(key, value, self.clock(node))
        if value is None:
            self.truth[node.me].pop(key, None)
        else:
            self.truth[node.me][key] = value

    def spread(self, node: Replica) -> None:
        for delta in list(node.news()):
            self.flying += [(self.now, other, delta) for other in self.nodes if other is not node]

    def compare(self, asks: Replica, tells: Replica) -> None:
        for want in asks.compare(tells.digest(answer_wanted=True))[0]:
            self.flying += [(self.now, asks, piece) for piece in tells.pieces(want.owner, want.have)]

    def restart(self, node: Replica) -> None:
        """A node ends, and all forget it; another one takes its place."""
        self.started += 1
        fresh = replica(f"{self.started:x}")
        self.nodes[self.nodes.index(node)] = fresh
        self.truth[fresh.me] = {}
        del self.truth[node.me]
        self.flying = [message for message in self.flying if message[1] is not node]
        for other in self.nodes:
            other.forget(node.me, self.clock(other))

    def settle(self) -> None:
        self.flying.clear()
        for _ in range(3):
            for one in self.nodes:
                for other in self.nodes:
                    for want in one.compare(other.digest(answer_wanted=True))[0]:
                        for piece in list(other.pieces(want.owner, want.have)):
                            one.apply(over_the_wire(piece), self.clock(one))


def play(seed: int, nodes: int = 4, steps: int = 300) -> None:
    """Let things happen, then let all compare: no row is lost, none comes back, all copies are the same."""
    net = Net(seed, nodes)
    for _ in range(steps):
        net.step()
    net.settle()
    truth = {owner: held for owner, held in net.truth.items() if held}
    for node in net.nodes:
        seen = {owner: dict(table.values()) for owner, table in node.tables.items()}
        assert {owner: held for owner, held in seen.items() if held} == truth, f"seed {seed}: node {node.me}"


def play_many(first: int, seeds: int) -> None:
    """Play so many, of three to five writers."""
    for seed in range(first, first + seeds):
        play(seed, 3 + seed % 3)


if __name__ == "__main__":
    play(int(sys.argv[1]), 3 + int(sys.argv[1]) % 3)
