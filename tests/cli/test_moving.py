"""``foundation migrate``, ``drain`` and ``undrain``, and what ``foundation status`` says of children."""

from __future__ import annotations

import json
from typing import Any

from foundation import ChildReport, Member, MemberStatus
from foundation.cli.child_table import children_table
from foundation.cli.node_report import NodeReport
from foundation.core.identity import NodeId, ProcessId
from tests.commands import Commands, commands

CHILDREN = """
from foundation import Placement, Process

class Counter(Process):
    value = 7

    async def snapshot(self) -> int:
        return self.value

    async def restore(self, value: int) -> None:
        self.value = value

async def main(cluster):
    if cluster.name == "one":
        await cluster.children.start(Counter, name="counter", placement=Placement("local"))
        await cluster.children.start(Counter, name="pinned", placement=Placement(node="one"))
        await cluster.children.start(Counter, name="all", instances="every_node")
    print("added", flush=True)
"""


async def children(cli: Commands) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return where each child is, and what is said of it."""
    _, text = await cli.end("status", "--json")
    return {
        child["name"]: (member["name"], child)
        for member in json.loads(text)["members"]
        for child in member["children"] or ()
    }


async def drained(cli: Commands) -> dict[str, bool]:
    """Return which members are drained."""
    _, text = await cli.end("status", "--json")
    return {member["name"]: member["drained"] for member in json.loads(text)["members"]}


async def refuse(cli: Commands) -> None:
    """Ask for what there is not."""
    for arguments, problem in (
        (("nobody", "other"), "no distributed child is named 'nobody'"),
        (("all@one", "other"), "all@one runs on each node, and stays where it is"),
        (("counter", "nowhere"), "no member has the name or id 'nowhere'"),
    ):
        code, output = await cli.end("migrate", *arguments)
        assert code == 1
        assert problem in output


async def test_children_are_shown_moved_and_handed_over() -> None:
    """Status says where a child is and why; the commands say what they did, or why not, with an exit code."""
    async with commands() as cli:
        (cli.ground.folder / "app.py").write_text(CHILDREN)
        async with (
            await cli.start("node", "app", "--name", "other") as other,
            await cli.start("node", "app", "--name", "one") as one,
        ):
            await other.line("added")
            await one.line("added")
            seen = await children(cli)
            assert {name: node for name, (node, _) in seen.items() if name != "all"} == {
                "counter": "one",
                "pinned": "one",
                "all@one": "one",
                "all@other": "other",
            }
            assert seen["counter"][1]["why"] == "chosen by local"
            assert (seen["pinned"][1]["why"], seen["pinned"][1]["mailbox"]) == ("only node one may run it", 0)
            assert await cli.end("migrate", "counter", "other") == (0, "counter was moved from one to other")
            assert await cli.end("migrate", "counter", "other") == (0, "counter is on other already")
            node, counter = (await children(cli))["counter"]
            assert (node, counter["state_bytes"], counter["class"]) == ("other", 2, "app:Counter")
            assert counter["why"].startswith("moved here by node")
            await refuse(cli)
            code, output = await cli.end("drain", "other")
            assert (code, output) == (0, "other has handed over its children and takes no more")
            code, output = await cli.end("drain", "one")
            assert code == 1
            assert "one takes no more children, but could not hand over" in output
            _, table = await cli.end("status")
    assert "children are replicated: 2 nodes, every node knows every child" in table
    assert table.count("drained") == 2, table
    assert "pinned" in table


async def test_an_undrained_node_is_given_children_again() -> None:
    """The command may be given twice, says what holds now, and status says so too."""
    async with commands() as cli:
        (cli.ground.folder / "app.py").write_text(CHILDREN)
        async with (
            await cli.start("node", "app", "--name", "other") as other,
            await cli.start("node", "app", "--name", "one") as one,
        ):
            await other.line("added")
            await one.line("added")
            await cli.end("drain", "other")
            assert await drained(cli) == {"one": False, "other": True}
            code, output = await cli.end("migrate", "counter", "other")
            assert (code, "takes no more children" in output) == (1, True)
            for _ in range(2):
                assert await cli.end("undrain", "other") == (0, "other takes children")
            assert await drained(cli) == {"one": False, "other": False}
            assert await cli.end("migrate", "counter", "other") == (0, "counter was moved from one to other")
            code, output = await cli.end("undrain", "nobody")
    assert (code, "no member has the name or id 'nobody'" in output) == (1, True)


def test_the_size_of_a_state_that_nobody_knows_is_a_dash() -> None:
    """A size is shown where a state came along, be it empty, and nowhere else."""
    node = NodeId("a" * 32)
    member = Member(node, "one", MemberStatus.UP)
    children = [
        ChildReport("moved", "app:Counter", ProcessId(node, 1), state_bytes=0),
        ChildReport("started", "app:Counter", ProcessId(node, 2)),
        ChildReport("waiting", "app:Counter", None),
    ]
    table = children_table([NodeReport(member, "direct", [], None, children)])
    states = {str(name): state for name, state in zip(table.columns[0].cells, table.columns[5].cells, strict=True)}
    assert states == {"moved": "0 B", "started": "-", "waiting": "-"}
