"""``foundation status``: who is in and what runs where."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from tests.commands import commands

COUNTERS = """
from foundation import Process

class Counter(Process):
    async def add(self) -> None: ...

async def main(cluster):
    counter = await cluster.start_process(Counter, name=f"counter of {cluster.name}")
    await counter.add()
    await cluster.register(f"second of {cluster.name}", counter)
    await cluster.groups.join("counters", counter)
    await cluster.groups("scope").join(f"only {cluster.name}", counter)
    await cluster.presence.track("room", "anne")
    print("added", flush=True)
"""


async def test_status_shows_members_and_processes() -> None:
    """It lists each member and each process, as tables or as JSON, soon, and is not a member itself."""
    async with commands() as cli:
        (cli.ground.folder / "counters.py").write_text(COUNTERS)
        async with (
            await cli.start("node", "counters", "--name", "one", "--role", "web,db") as one,
            await cli.start("node", "counters", "--name", "other") as other,
        ):
            await one.line("added")
            await other.line("added")
            began = asyncio.get_running_loop().time()
            code, text = await cli.end("status", "--json")
            seconds = asyncio.get_running_loop().time() - began
            table_code, table = await cli.end("status")
            assert one.output.count(" is up") <= 1
    assert (code, table_code) == (0, 0)
    members = {member["name"]: member for member in json.loads(text)["members"]}
    assert members.keys() == {"one", "other"}
    assert (members["one"]["status"], members["one"]["incarnation"]) == ("up", 1)
    assert members["one"]["roles"] == ["web", "db"]
    assert members["one"]["path"] == members["other"]["path"] == "direct"
    assert table.count("direct") == 2
    (process,) = members["other"]["processes"]
    assert (process["name"], process["class"], process["handled"]) == ("counter of other", "counters:Counter", 1)
    assert "counter of one" in table
    assert seconds < 1.5


async def test_status_shows_names_and_groups() -> None:
    """It lists the names and groups of each member, and sums them up, as tables or as JSON."""
    async with commands() as cli:
        (cli.ground.folder / "counters.py").write_text(COUNTERS)
        async with (
            await cli.start("node", "counters", "--name", "one") as one,
            await cli.start("node", "counters", "--name", "other") as other,
        ):
            await one.line("added")
            await other.line("added")
            _, text = await cli.end("status", "--json")
            _, table = await cli.end("status")
    members = {member["name"]: member for member in json.loads(text)["members"]}
    assert members["one"]["names"].keys() == {"counter of one", "second of one"}
    assert {"scope": "", "group": "counters", "members": 1} in members["other"]["groups"]
    assert json.loads(text)["totals"] == {"names": 4, "groups": 3, "group_members": 4, "presences": 2, "children": 0}
    assert "second of other" in table
    assert "4 names, 3 groups, 4 group members, 2 presences" in table


async def test_status_tells_who_does_not_answer() -> None:
    """A member that cannot be reached is shown without an answer, and the others are shown all the same."""
    async with (
        commands() as cli,
        await cli.start("node", "--name", "one") as one,
        await cli.start("node", "--name", "other") as other,
    ):
        await one.line("one is ready")
        await other.line("other is ready")
        other.send(signal.SIGSTOP)
        await one.line("other is unreachable")
        code, text = await cli.end("status", "--json")
    assert code == 0
    members = {member["name"]: member for member in json.loads(text)["members"]}
    assert members["one"]["processes"] == []
    assert members["other"]["processes"] is None
    assert (members["one"]["path"], members["other"]["path"]) == ("direct", "connecting")


@pytest.mark.parametrize("form", [["--json"], []])
async def test_status_is_shown_until_it_is_interrupted(form: list[str]) -> None:
    """With --watch it shows who comes and goes, as tables or as lines of JSON, and ends in order with Ctrl-C."""
    async with commands() as cli, await cli.start("node", "--name", "one") as one:
        await one.line("one is ready")
        async with await cli.start("status", "--watch", *form) as status:
            await status.line("one")
            async with await cli.start("node", "--name", "other") as other:
                await other.line("other is ready")
                await status.line("other")
            status.send(signal.SIGINT)
            assert await status.end() == 0
        assert "Traceback" not in status.output
        for line in status.output.splitlines() if form else ():
            assert json.loads(line)["members"][0]["name"] == "one"


async def test_status_with_nobody_there() -> None:
    """Where no node runs it says so in one line after the time limit, with exit code 1."""
    async with commands() as cli:
        code, output = await cli.end("status", "--timeout", "0.2", "--cluster-name", "empty")
    assert code == 1
    assert output.startswith("foundation: no node of the cluster 'empty' was found within 0.2 s (by local)")
    assert len(output.splitlines()) == 1
