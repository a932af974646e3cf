"""Nodes find each other, leave, crash and are cut off, over both engines."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.errors import NotDelivered
from foundation.fabric import keys
from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.transport import SessionSettings
from foundation.fabric.transports.memory import NETWORK
from foundation.membership import Facts, MembershipOptions, MemberStatus
from foundation.membership.member import Suspicion, encode_facts
from tests.membership.members import MemberNode, MemberNodes, everybody_is_up, some_members
from tests.waiting import eventually, turns

UP, LEAVING, UNREACHABLE = MemberStatus.UP, MemberStatus.LEAVING, MemberStatus.UNREACHABLE


@pytest.fixture(params=["memory", "zenoh"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[MemberNodes]:
    async with some_members(request.param) as started:
        yield started


@pytest.fixture
async def memory_nodes() -> AsyncIterator[MemberNodes]:
    async with some_members("memory") as started:
        yield started
    NETWORK.heal()


# --- joining -------------------------------------------------------------------------------------------------


async def test_one_address_is_enough_to_join(nodes: MemberNodes) -> None:
    """Whoever seeks one node meets all of them, and each sees each become up, once."""
    anne, bob, carl, dave = await nodes.cluster("anne", "bob", "carl", "dave")
    for node in (anne, bob, carl):
        assert node.story(dave) in (["joining", "up"], ["up"])
        assert node.membership.members()[0].name == node.name
    assert dave.story(anne) == dave.story(bob) == ["up"]


async def test_who_opens_the_door_tells_who_else_is_there(memory_nodes: MemberNodes) -> None:
    """A node that gossip did not link to a third one keeps trying its address, which it learned at the door."""
    anne, carl = await memory_nodes.cluster("anne", "carl")
    bob = await memory_nodes.start("bob")
    NETWORK.cut(bob.id, carl.id)
    bob.seek(anne.address)
    await eventually(lambda: anne.id in bob.sees())
    assert carl.id not in bob.sees()
    NETWORK.heal()
    await eventually(lambda: carl.id in bob.sees() and bob.id in carl.sees())


async def test_members_describe_themselves(nodes: MemberNodes) -> None:
    """What a node says about itself is what others read, and a change is an event."""
    anne, bob = await nodes.cluster("anne", "bob")
    bob.membership.describe(metadata={"zone": "b"}, roles=("worker",))
    await eventually(lambda: anne.story(bob)[-1] == "updated")
    seen = anne.membership.member(bob.id)
    assert seen == bob.membership.me
    assert seen is not None
    assert (seen.metadata, seen.roles, seen.addresses) == ({"zone": "b"}, ("worker",), (bob.address,))


async def test_settling_ends_when_everybody_was_tried(nodes: MemberNodes) -> None:
    """After it the nodes at good addresses are met; a bad address does not hold it up."""
    anne = await nodes.start("anne")
    bob = await nodes.start("bob")
    bob.seek("127.0.0.1:1", anne.address)
    async with asyncio.timeout(8):
        await bob.membership.settle(30)
    await eventually(lambda: anne.id in bob.sees())


async def test_who_came_before_the_membership_is_seen(nodes: MemberNodes) -> None:
    """A node that linked to the fabric before the membership began to listen is a member nevertheless."""
    anne = await nodes.start("anne")
    late = MemberNode("late", anne.fabric._options.transport, cookie="secret", fabric={}, membership={})
    async with late.fabric:
        await late.fabric.meet(anne.fabric.door)
        await eventually(lambda: late.fabric.present() == {anne.id})
        async with late.membership:
            assert late.membership.member(anne.id) is not None
        anne.membership.describe(metadata={"after": "the end"})
        await eventually(lambda: b"the end" in late.fabric.facts()[anne.id])
        assert late.story(anne) == ["up"]


async def test_the_own_address_is_ignored(nodes: MemberNodes, caplog: pytest.LogCaptureFixture) -> None:
    """Discovery may name this node itself: nothing is logged, counted as a failure or tried again."""
    anne = await nodes.start("anne")
    anne.seek(anne.address)
    await eventually(lambda: anne.membership._dialer.leads_back(anne.address))
    anne.seek(anne.address)
    assert anne.membership._dialer._plan.next_due(set()) is None
    assert not caplog.records


async def test_a_node_with_another_cookie_is_told_once(nodes: MemberNodes, caplog: pytest.LogCaptureFixture) -> None:
    """The refusal is one line on each side, and the address is not tried again soon."""
    anne = await nodes.start("anne")
    stranger = await nodes.start("stranger", cookie="another")
    for _ in range(3):
        stranger.seek(anne.address)
        await eventually(lambda: anne.fabric.refused == 1)
        await stranger.membership.settle(10)
    plan = stranger.membership._dialer._plan
    next_due = plan.next_due(set())
    assert next_due is not None
    assert next_due - stranger.membership._clock.now() > 20
    assert anne.fabric.refused == 1
    assert caplog.text.count("cannot join the node at") == 1
    assert caplog.text.count("refused stranger") == 1
    assert not anne.fabric.present()


@pytest.mark.parametrize("address", ["", "x", "x:y", ":", "127.0.0.1:99999", "a..b:1", "[::1", "\udce9:1"])
async def test_what_is_no_address_harms_nobody(memory_nodes: MemberNodes, address: str) -> None:
    """Addresses come from discovery and from other nodes; a malformed one fails like one where nobody lives."""
    anne = await memory_nodes.start("anne")
    bob = await memory_nodes.start("bob")
    bob.seek(address, anne.address)
    await everybody_is_up(anne, bob)
    async with asyncio.timeout(8):
        await bob.membership.settle(30)
    target = bob.membership._dialer._plan._targets[address]
    assert target.failures > 0
    assert len(bob.membership._dialer._tasks) == 0


async def test_a_node_that_is_linked_and_not_announced_is_not_dialed_all_the_time(memory_nodes: MemberNodes) -> None:
    """A link without presence is tried again after a delay, not in a loop."""
    quiet = MemberNode("quiet", "memory", cookie="secret", fabric={}, membership={})
    anne = await memory_nodes.start("anne")
    knocks = 0
    async with quiet.fabric:
        identity = quiet.fabric._identity

        def count_knocks() -> object:
            nonlocal knocks
            knocks += 1
            return identity()

        quiet.fabric._door._identity = count_knocks  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        began = loop.time()
        anne.seek(quiet.address)
        await eventually(lambda: knocks >= 3)
        assert loop.time() - began >= 0.03


# --- leaving and crashing ------------------------------------------------------------------------------------


async def test_who_leaves_has_left(nodes: MemberNodes) -> None:
    """A leave is seen as leaving and left by everybody, never as unreachable."""
    anne, bob, carl = await nodes.cluster("anne", "bob", "carl")
    await carl.leave()
    await everybody_is_up(anne, bob)
    for node in (anne, bob):
        assert node.story(carl)[-2:] == ["leaving", "left"]
        assert "unreachable" not in node.story(carl)
        with pytest.raises(NotDelivered):
            node.fabric.send(carl.id, b"\xc0")


async def test_who_crashes_is_down_quickly(nodes: MemberNodes) -> None:
    """When its ports refuse, nobody waits for the time that a cut would take."""
    patient = {"down_after_s": 3600.0}
    anne, bob, carl = await nodes.cluster("anne", "bob", "carl", membership=patient)
    await carl.crash()
    await everybody_is_up(anne, bob)
    assert anne.story(carl)[-2:] == bob.story(carl)[-2:] == ["unreachable", "down"]
    with pytest.raises(NotDelivered):
        anne.fabric.send(carl.id, b"\xc0")


async def test_a_restart_at_the_same_address_downs_the_one_before(nodes: MemberNodes) -> None:
    """Another node at the address of a lost one is proof that the lost one does not exist any more."""
    patient = {"down_after_s": 3600.0}
    port = free_port()
    anne, bob = await nodes.cluster("anne", "bob", membership=patient)
    carl = await nodes.start("carl", anne, fabric={"port": port}, membership=patient)
    await everybody_is_up(anne, bob, carl)
    await carl.crash()
    again = await nodes.start("carl", anne, fabric={"port": port}, membership=patient)
    await everybody_is_up(anne, bob, again)
    assert anne.story(carl)[-1] == bob.story(carl)[-1] == "down"
    assert not again.story(carl)


async def test_a_restart_of_its_own_address_does_not_stall_the_vote(memory_nodes: MemberNodes) -> None:
    """A node that hears of a lost one at the address which is now its own gives its vote."""
    anne = await memory_nodes.start("anne")
    for first_digit in "de":  # the first time it has to find out, the second time it knows
        lost = NodeId(first_digit * 32)
        suspicion = Suspicion(lost, 1, "lost", (anne.address,))
        facts = encode_facts(Facts("witness", UP, unreachable=(suspicion,)))
        anne.membership._presence_changed(new_node_id(), facts)
        await eventually(lambda lost=lost: not anne.membership._view.admits(lost, 1))
        for member in anne.membership._view.members():
            anne.membership._view._records.pop(member.node_id)
            anne.membership._view._neighbors.pop(member.node_id)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- cuts ----------------------------------------------------------------------------------------------------


async def test_a_cut_is_noticed_and_healed(memory_nodes: MemberNodes) -> None:
    """Who is cut off is unreachable after the lease, and the same member again after the heal."""
    patient = {"down_after_s": 3600.0}
    anne, bob, carl = await memory_nodes.cluster("anne", "bob", "carl", membership=patient)
    NETWORK.cut(anne.id, carl.id)
    NETWORK.cut(bob.id, carl.id)
    await eventually(lambda: all(node.sees()[carl.id] is UNREACHABLE for node in (anne, bob)))
    NETWORK.heal()
    await everybody_is_up(anne, bob, carl)
    assert anne.story(carl)[-2:] == ["unreachable", "reachable"]
    assert anne.membership.me.incarnation == carl.membership.me.incarnation == 1


async def test_a_cut_between_two_downs_nobody(memory_nodes: MemberNodes) -> None:
    """While a third sees both, they are unreachable for each other, for many times the waiting time."""
    anne, bob, carl = await memory_nodes.cluster("anne", "bob", "carl", membership={"down_after_s": 0.05})
    NETWORK.cut(anne.id, bob.id)
    await eventually(lambda: anne.sees()[bob.id] is bob.sees()[anne.id] is UNREACHABLE)
    for number in range(20):  # each word of carl's reaches both, so time passes and both go on judging
        carl.membership.describe(metadata={"n": str(number)})
        await eventually(lambda number=number: all(metadata_of(node, carl) == str(number) for node in (anne, bob)))
    ticks = anne.membership._clock.now()
    await eventually(lambda: anne.membership._clock.now() - ticks > 0.3)
    assert anne.story(bob)[-1] == bob.story(anne)[-1] == "unreachable"
    NETWORK.heal()
    await everybody_is_up(anne, bob, carl)


def metadata_of(node: MemberNode, other: MemberNode) -> str | None:
    member = node.membership.member(other.id)
    return member.metadata.get("n") if member else None


async def test_both_sides_of_a_partition_come_together_again(memory_nodes: MemberNodes) -> None:
    """Each side gives up the other; after the heal all are up again, with new incarnations, and frames pass."""
    names = ("anne", "bob", "carl", "dave", "eve")
    cluster = await memory_nodes.cluster(*names)
    left, right = cluster[:3], cluster[3:]
    for one in left:
        for other in right:
            NETWORK.cut(one.id, other.id)
    await eventually(lambda: all(node.sees().keys() == {one.id for one in left} for node in left))
    await eventually(lambda: all(node.sees().keys() == {one.id for one in right} for node in right))
    NETWORK.heal()
    await everybody_is_up(*cluster)
    assert all(node.membership.me.incarnation > 1 for node in cluster)
    got: list[NodeId] = []
    left[0].fabric.peers.receive = lambda node, _frames, _channel: got.append(node)
    right[0].fabric.send(left[0].id, b"\xc0")
    await eventually(lambda: got == [right[0].id])


# --- what is wrong -------------------------------------------------------------------------------------------


async def test_a_member_without_manners_leaves_nothing_behind(
    nodes: MemberNodes, caplog: pytest.LogCaptureFixture
) -> None:
    """Presence with facts that are none is logged and nothing else, and when it goes, all of it goes."""
    anne, bob = await nodes.cluster("anne", "bob")
    settings = SessionSettings(
        new_node_id(), keys.namespace("shop"), Secret("secret"), "127.0.0.1", 0, 10.0, 10.0, 10.0
    )
    transport = TRANSPORTS.find(anne.fabric._options.transport)()
    rude = await transport.open(settings, print)
    await rude.introduce(anne.id, anne.fabric._identity().endpoints)
    for number in range(50):
        facts = [b"", b"\xc1", encode_facts(Facts("x", UP))[:-1], b"\x80"][number % 4]
        rude.declare(keys.presence(keys.Presence(NodeId(f"{number + 1:x}"), 1, facts)))
    await eventually(lambda: len(anne.fabric.present()) == 51)
    assert anne.sees().keys() == {anne.id, bob.id}
    await rude.close()
    await eventually(lambda: anne.fabric.present() == {bob.id})
    assert anne.fabric.peers._peers.keys() == {bob.id}
    assert "not the facts of a node" in caplog.text


async def test_a_stopped_membership_hears_nothing(nodes: MemberNodes) -> None:
    """After its end it announces and tells nothing any more, its stream of events has ended, and no task is left."""
    anne, bob = await nodes.cluster("anne", "bob")
    await bob.membership.__aexit__(None, None, None)
    before = bob.fabric._announced[0]
    anne.membership.describe(metadata={"x": "y"})
    await eventually(lambda: b"x" in bob.fabric.facts()[anne.id])
    assert bob.fabric._announced[0] == before
    async with asyncio.timeout(5):
        assert [event async for event in bob.membership.events.stream()] == []
    await anne.stop()
    await bob.stop()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- processes of the operating system -----------------------------------------------------------------------

NODE_PROGRAM = """
import asyncio, sys
from foundation.core.sources import new_node_id
from foundation.core.secret import Secret
from foundation.fabric import Fabric, FabricOptions
from foundation.membership import Facts, Membership, MemberStatus

async def main():
    cookie, options = Secret("secret"), FabricOptions()
    async with Fabric(new_node_id(), "far", cluster="shop", cookie=cookie, version="1", options=options) as fabric:
        async with Membership(fabric, Facts("far", MemberStatus.UP)) as membership:
            membership.seek(sys.argv[1:], None)
            print(fabric.node_id, fabric.door, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
async def test_a_killed_process_is_down_within_half_a_second() -> None:
    """``kill -9`` of another OS process is noticed by its broken link and its refusing port, with default options."""
    async with some_members("zenoh") as nodes:
        defaults = {name: getattr(MembershipOptions(), name) for name in ("tick_s", "down_after_s", "redial")}
        cluster = [await nodes.start("anne", fabric={"lease_s": 3.0}, membership=defaults)]
        cluster.append(await nodes.start("bob", *cluster, fabric={"lease_s": 3.0}, membership=defaults))
        await everybody_is_up(*cluster)
        command = [sys.executable, "-c", NODE_PROGRAM, cluster[0].address]
        far = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert far.stdout is not None
            async with asyncio.timeout(10):
                node = NodeId((await far.stdout.readline()).split()[0].decode())
            await eventually(lambda: all(one.sees().get(node) is UP for one in cluster))
            loop = asyncio.get_running_loop()
            began = loop.time()
        finally:
            far.kill()
            await far.wait()
        await eventually(lambda: all(node not in one.sees() for one in cluster))
        took_s = loop.time() - began
    assert took_s < 0.5
    stories = [
        [type(event).__name__ for event in one._events._waiting if event.member.node_id == node] for one in cluster
    ]
    assert all(story[-2:] == ["MemberUnreachable", "MemberDown"] for story in stories)
    logging.getLogger(__name__).info("down after %.3f s", took_s)
