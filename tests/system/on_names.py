"""What nodes that contend for names do when a test tells them, and what a third one writes down of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from itertools import count
from typing import TypedDict
from unittest.mock import patch

from foundation import Cluster, Process
from foundation.core.identity import NodeId
from foundation.core.rendezvous import Candidates
from foundation.core.tasks import TaskScope
from foundation.errors import CallTimeout, NameTakenError
from foundation.registry import NAMES, NameRow
from foundation.registry.messages import ClaimMessage, Flushed, Granted
from foundation.replication import Change
from tests.system.on_tables import parts_of
from tests.waiting import eventually, turns_until

END = "end"
"""Whoever registers the name that is a prefix and this ends the log about that prefix."""

_ALMOST_S = 0.002


class Contender(Process, wire_name="tests.names.Contender"):
    async def name_lost(self, name: str, winner: Process) -> None:
        """Go on: the test is to say what went wrong."""


class Outcome(TypedDict):
    """What became of one claim."""

    name: str
    owner: str
    """Who has the name: the own process, or what the error says."""
    won: bool
    home: str | None
    """Which node was to decide when the claim was made."""
    answered_at: float
    retries: int


class Log(TypedDict):
    """What a node has seen of names."""

    events: list[list[str]]
    """Of each event: name, reason, whose it is, whose it was."""
    shared: list[str]
    """The names of which two nodes had a row at the same time, be it within one batch of rows."""


# --- who contends


async def claim(cluster: Cluster, names: Sequence[str], at: float) -> list[Outcome]:
    """Claim all these names at that moment, by the clock on the wall."""
    contender = await cluster.start_process(Contender)
    loop = asyncio.get_running_loop()
    await turns_until(loop.time() + at - time.time() - _ALMOST_S)
    while time.time() < at:
        pass  # a timer would be late by what differs between two nodes
    async with TaskScope("claims") as scope:
        return list(await asyncio.gather(*(scope.start(_claim(cluster, name, contender), name) for name in names)))


async def _claim(cluster: Cluster, name: str, contender: Contender) -> Outcome:
    home = parts_of(cluster).names.claims.home(NAMES + name)
    retries = 0
    while True:
        try:
            await cluster.register(name, contender)
        except CallTimeout:
            retries += 1
            continue
        except NameTakenError as error:
            owner, won = str(error).rpartition(" ")[2], False
        else:
            owner, won = str(contender.process_id), True
        return Outcome(name=name, owner=owner, won=won, home=home, answered_at=time.time(), retries=retries)


async def owners(cluster: Cluster, prefix: str) -> dict[str, str]:
    return {name: str(cluster.whereis(name)) for name in cluster.registry.names(prefix)}


async def sync(cluster: Cluster) -> None:
    await cluster.wait_for_sync(10.0)


async def name_of(cluster: Cluster, home: NodeId, heir: NodeId, prefix: str) -> str:
    """Return a name of which one node is the home, and another one is when that is gone."""
    claims = parts_of(cluster).names.claims
    left = Candidates(set(claims.members) - {home})
    names = (f"{prefix}{number}" for number in count())
    return next(name for name in names if (claims.home(NAMES + name), left.first(NAMES + name)) == (home, heir))


# --- who looks on


class Holders:
    """Which nodes have a row that says that they have a name, row by row as the rows come."""

    def __init__(self, prefix: str) -> None:
        self.shared: dict[str, None] = {}
        """The names that two have had at the same time."""
        self._prefix = NAMES + prefix
        self._of: dict[str, set[NodeId]] = {}

    def look(self, changes: list[Change]) -> None:
        for owner, key, _, new in changes:
            if key.startswith(self._prefix):
                holders = self._of.setdefault(key, set())
                (holders.add if type(new) is NameRow else holders.discard)(owner)
                if len(holders) > 1:
                    self.shared[key.removeprefix(NAMES)] = None


async def watch(cluster: Cluster, prefix: str) -> Log:
    """Write down what happens to names, until their end is registered."""
    holders = Holders(prefix)
    parts_of(cluster).replication.watch(NAMES, holders.look)
    events: list[list[str]] = []
    async with cluster.registry.watch(prefix) as batches:
        await cluster.start_process(Contender, name="onlooker")  # tells that the log has begun
        async for batch in batches:
            for event in batch:
                if event.name == prefix + END:
                    return Log(events=events, shared=list(holders.shared))
                events.append([event.name, str(event.reason), str(event.process_id), str(event.previous)])
    message = "the log ended before the names did"
    raise AssertionError(message)


async def await_onlooker(cluster: Cluster) -> None:
    await cluster.await_name("onlooker", 10.0)


async def end_of(cluster: Cluster, prefix: str) -> None:
    """End the log about these names."""
    await cluster.start_process(Contender, name=prefix + END)


# --- homes that die


async def die_at_grant(cluster: Cluster, name: str, grantee: NodeId, *, is_sent: bool) -> None:
    """End this program with ``kill -9`` when it grants a name: before the grant has left, or after."""
    parts = parts_of(cluster)
    claims, peers = parts.names.claims, parts.fabric.peers
    await cluster.processes(grantee)  # so that a link is dialed: the few words about names would not do that
    await eventually(lambda: peers.ways()[grantee] == "direct")
    send = claims._send

    def send_and_die(node: NodeId, message: ClaimMessage) -> None:
        if type(message) is Granted and message.key == NAMES + name:
            if is_sent:
                send(node, message)
                parts.names._send_all()
                peers._flush()  # into the kernel, which delivers it
            os.kill(os.getpid(), signal.SIGKILL)
        send(node, message)

    patch.object(claims, "_send", send_and_die).start()


async def stand_still_at_grant(cluster: Cluster, name: str) -> None:
    """Have this program stand still (SIGSTOP) when it has been granted a name, before anybody else hears of it."""
    names = parts_of(cluster).names
    granted = names.granted

    def take_and_stop(number: int, key: str, epoch: int) -> bool:
        is_taken = granted(number, key, epoch)
        if key == NAMES + name:
            os.kill(os.getpid(), signal.SIGSTOP)
        return is_taken

    patch.object(names, "granted", take_and_stop).start()


async def hear_grant_late(cluster: Cluster, name: str, home: NodeId) -> None:
    """Have a grant of a home heard here only when this node has confirmed the view without it."""
    claims = parts_of(cluster).names.claims
    receive, send = claims.receive, claims._send
    held: list[tuple[NodeId, Granted]] = []

    def hold(source: NodeId, message: ClaimMessage) -> None:
        if type(message) is Granted and (source, message.key) == (home, NAMES + name):
            held.append((source, message))
        else:
            receive(source, message)

    def send_and_hear(node: NodeId, message: ClaimMessage) -> None:
        send(node, message)
        if type(message) is Flushed and held and home not in claims.members:
            asyncio.get_running_loop().call_soon(receive, *held.pop())
            sys.stdout.write(f"late: {name}\n")

    patch.object(claims, "receive", hold).start()
    patch.object(claims, "_send", send_and_hear).start()
