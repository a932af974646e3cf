"""``foundation node``: it says when it is ready and what happens, and leaves when told to."""

from __future__ import annotations

import json
import signal
from asyncio.subprocess import PIPE

import pytest

from tests.commands import commands

GREETER = """
from foundation import Process

class Greeter(Process):
    async def greet(self, name: str) -> str:
        return f"hello {name}"

async def main(cluster):
    greeter = await cluster.start_process(Greeter, name="greeter")
    print(await greeter.greet(cluster.name), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_makes_a_node_leave(number: signal.Signals) -> None:
    """SIGTERM and SIGINT make a node leave in order: the other one hears it, and the exit code is 0."""
    async with (
        commands() as cli,
        await cli.start("node", "--name", "one") as one,
        await cli.start("node", "--name", "other") as other,
    ):
        await one.line("one is ready at 127.0.0.1:")
        await one.line("other is up")
        await other.line("one is up")
        other.send(number)
        await one.line("other has left")
        assert await other.end() == 0
        assert "Traceback" not in other.output


async def test_events_as_json_lines() -> None:
    """With ``--json`` every line on stdout is an object with an ``event``, from ``ready`` to ``stopped``."""
    async with commands() as cli, await cli.start("node", "--name", "one", "--json") as one:
        _, ready = await one.line('"ready"')
        async with await cli.start("node", "--name", "other") as other:
            await one.line('"up"')
            other.send(signal.SIGKILL)
            _, down = await one.line('"down"')
        one.send(signal.SIGTERM)
        _, stopped = await one.line('"stopped"')
        assert await one.end() == 0
    assert json.loads(ready) | {"name": "one", "cluster": "main", "members": []} == json.loads(ready)
    assert json.loads(down)["name"] == "other"
    assert "its process does not exist" in json.loads(down)["reason"]
    assert json.loads(stopped) == {"event": "stopped"}


@pytest.mark.parametrize("module", ["greeting.py", "greeting", "shop/greeting.py"])
async def test_module_runs_in_the_node(module: str) -> None:
    """A module's processes are known by its import name, however it is given, and its ``main`` runs in the cluster."""
    async with commands() as cli:
        (cli.ground.folder / "shop").mkdir()
        (cli.ground.folder / "shop" / "__init__.py").touch()
        for file in ("greeting.py", "shop/greeting.py"):
            (cli.ground.folder / file).write_text(GREETER)
        async with await cli.start("node", module, "--name", "one") as one:
            await one.line("hello one")
            code, status = await cli.end("status", "--json")
            one.send(signal.SIGTERM)
            assert await one.end() == 0
    assert code == 0
    (member,) = json.loads(status)["members"]
    import_name = module.removesuffix(".py").replace("/", ".")
    assert [(p["name"], p["class"]) for p in member["processes"]] == [("greeter", f"{import_name}:Greeter")]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("import sys\nasync def main(cluster): sys.exit(7)", 7, "left"),
        ("async def main(cluster): raise ValueError('no luck')", 1, "ValueError: no luck"),
        ("import nowhere", 1, "No module named 'nowhere'"),
        ("x = ", 1, "application.py:1"),
    ],
)
async def test_module_can_end_its_node(text: str, code: int, says: str) -> None:
    """What the module asks for by ``sys.exit`` is the exit code; one that fails ends the node with 1 and the cause."""
    async with commands() as cli:
        (cli.ground.folder / "application.py").write_text(text)
        ended, output = await cli.end("node", "application.py")
    assert ended == code
    assert says in output


async def test_node_leaves_at_the_end_of_stdin() -> None:
    """With ``--until-eof`` a node leaves when nobody holds the other end of its standard input any more."""
    async with (
        commands() as cli,
        await cli.start("node", "--name", "one", "--until-eof", stdin=PIPE) as one,
    ):
        await one.line("one is ready")
        assert one.process.stdin is not None
        one.process.stdin.close()
        assert await one.end() == 0
