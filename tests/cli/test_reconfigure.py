"""``foundation reconfigure``: two nodes in programs of their own go by what a third one says."""

from __future__ import annotations

import json

from tests.commands import Commands, commands

WATCH = """
async def main(cluster):
    seen = None
    print("ready", flush=True)
    while True:
        if seen != (seen := cluster.config.membership.down_after_s):
            print("down after", seen, flush=True)
        await __import__("asyncio").sleep(0.05)
"""


async def said(cli: Commands, *arguments: str) -> str:
    """Return what the command prints that does what was asked for."""
    code, output = await cli.end("reconfigure", *arguments)
    assert code == 0, output
    return output


async def refuse(cli: Commands) -> None:
    """Ask for what cannot be done."""
    for change, code, problem in (
        ("membership.down_after=1", 2, "did you mean membership.down_after_s?"),
        ("membership.down_after_s=soon", 2, "membership.down_after_s must be a number, not 'soon'"),
        ("name=x", 2, "it belongs to one node"),
        ("membership.down_after_s", 2, "is not KEY=VALUE"),
    ):
        ended, output = await cli.end("reconfigure", change)
        assert ended == code
        assert problem in output


async def test_nodes_go_by_what_a_command_says() -> None:
    """Both nodes see it, a mistake changes nothing, and what was said can be shown and taken back."""
    async with commands() as cli:
        (cli.ground.folder / "app.py").write_text(WATCH)
        async with (
            await cli.start("node", "app", "--name", "one") as one,
            await cli.start("node", "app", "--name", "two") as two,
        ):
            await one.line("ready")
            await two.line("ready")
            assert "membership.down_after_s = 20.0: live on one, two" in await said(cli, "membership.down_after_s=20")
            await one.line("down after 20.0")
            await two.line("down after 20.0")
            await refuse(cli)
            _, shown = await cli.end("reconfigure", "--json")
            told = {setting["key"]: setting for setting in json.loads(shown)["settings"]}
            assert told["membership.down_after_s"]["value"] == 20.0
            assert told["membership.down_after_s"]["nodes"] == {"one": "live", "two": "live"}
            report = json.loads(await said(cli, "membership.down_after_s=", "--json"))
            assert report["changes"][0]["value"] is None
            await one.line("down after 10.0")
            await two.line("down after 10.0")
