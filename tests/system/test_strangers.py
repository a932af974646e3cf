"""Nodes that do not belong: another cookie, none, another cluster."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.programs import playground
from tests.system.watching import watcher

COOKIE = "the-secret-of-this-test"


@pytest.mark.parametrize(
    ("cookie", "at_the_door", "at_the_stranger"),
    [
        ("another-secret", "its cookie is not the cookie of this cluster", "this node's cookie is not the cookie"),
        ("", "it has no cookie, and this cluster has one", "this node has no cookie, and that cluster has one"),
    ],
)
async def test_a_stranger_stays_outside(cookie: str, at_the_door: str, at_the_stranger: str) -> None:
    """A node with another cookie or none never becomes a member; both logs say why, neither shows a secret."""
    async with playground(FOUNDATION_CLUSTER="static") as ground, AsyncExitStack() as stack:
        inside = await watcher(ground, "inside", FOUNDATION_COOKIE=COOKIE)
        await stack.enter_async_context(inside.program)
        await inside.ready()
        stranger = await watcher(ground, "stranger", FOUNDATION_COOKIE=cookie, FOUNDATION_PEERS=inside.address)
        await stack.enter_async_context(stranger.program)
        await inside.program.line(at_the_door)
        await stranger.program.line(at_the_stranger)
        await stranger.ready()
        member = await watcher(ground, "member", FOUNDATION_COOKIE=COOKIE, FOUNDATION_PEERS=inside.address)
        await stack.enter_async_context(member.program)
        assert (await inside.event("MemberUp"))["name"] == "member"  # the cluster goes on; the stranger is not in it
        assert not stranger.saw("MemberUp")
        assert not stranger.saw("MemberJoining")
        for program in (inside.program, stranger.program):
            assert COOKIE not in program.output
            assert not cookie or cookie not in program.output


async def test_two_clusters_on_one_machine_do_not_see_each_other() -> None:
    """Nodes with the same cookie and another cluster name find only their own."""
    async with playground() as ground, AsyncExitStack() as stack:
        started = {
            name: await watcher(ground, name, FOUNDATION_CLUSTER_NAME=name[0]) for name in ("a1", "b1", "a2", "b2")
        }
        for each in started.values():
            await stack.enter_async_context(each.program)
        for name, each in started.items():
            await each.ready()
            other = {"1": "2", "2": "1"}[name[1]]
            assert (await each.event("MemberUp"))["name"] == name[0] + other
        for name, each in started.items():
            foreign = {"a": "b", "b": "a"}[name[0]]
            assert f'"name": "{foreign}' not in each.program.output
