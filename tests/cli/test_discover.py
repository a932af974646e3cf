"""``foundation discover``: what a strategy finds now, without a node of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from foundation.cli.main import main
from tests.commands import Commands, commands
from tests.distributions import install_into

GROUP = "foundation.discovery.strategies"
OURS = """
from dataclasses import dataclass

from foundation.discovery import DiscoveryStrategy, Peer

@dataclass(frozen=True)
class Options:
    port: int = 1

class Zoo(DiscoveryStrategy):
    Options = Options

    def __init__(self, options):
        self.options = options

    async def lookup(self):
        return [Peer((f"127.0.0.1:{self.options.port}",))]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the working directory and on the path."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FOUNDATION_COOKIE", "tests")
    monkeypatch.delenv("FOUNDATION_CLUSTER", raising=False)
    monkeypatch.delitem(sys.modules, "zoo_of_ours", raising=False)
    return tmp_path


async def found_by(cli: Commands, *arguments: str) -> list[dict[str, Any]]:
    code, printed = await cli.end("discover", "--json", *arguments)
    assert code == 0, printed
    peers: list[dict[str, Any]] = json.loads(printed)["peers"]
    return peers


async def test_a_running_node_is_found_and_opens() -> None:
    """By two strategies, with identity and name; one with another cookie learns only that it is refused."""
    async with commands() as cli, await cli.start("node", "--json", "--name", "one", "--port", "0") as node:
        await node.line("ready")
        (seen,) = await found_by(cli, "local")
        assert (seen["name"], seen["answers"]) == ("one", True)
        assert "answers, version" in seen["door"]
        (again,) = await found_by(cli, "static", "--option", f"addresses={seen['addresses'][0]}")
        assert (again["name"], again["node"]) == ("one", seen["node"])
        (cli.ground.folder / "other").write_text("another cookie")
        (cli.ground.folder / "other").chmod(0o600)
        cli.ground.environment.pop("FOUNDATION_COOKIE")
        (stranger,) = await found_by(cli, "local", "--cookie-file", "other")
        assert not stranger["answers"]
        assert stranger["door"].startswith("refuses: ")
        # Nothing was announced: the node has met nobody.
        assert "member" not in node.output.replace(node.lines[0][1], "")
        assert [path.name for path in cli.ground.folder.rglob("*.json")] == [f"{seen['node']}.json"]


def test_nobody_is_no_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lookup that succeeds and finds nobody says so."""
    option = f"folder={folder / 'nodes'}"
    assert main(["discover", "local", "--option", option, "--timeout", "0"]) == 0
    assert capsys.readouterr().out == "local finds nobody\n"
    assert not (folder / "nodes").exists()


def test_who_only_looks_needs_no_cookie(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A strategy whose nodes start only with one is asked all the same, and none is made."""
    monkeypatch.delenv("FOUNDATION_COOKIE")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    options = [f"--option={text}" for text in ("namespace=shop", "api_server=http://127.0.0.1:9")]
    assert main(["discover", "kubernetes", *options]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert not (folder / ".config").exists()


def test_a_failure_is_told_in_its_own_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and the message of the strategy; what it is told comes from the file and from the options."""
    (folder / "foundation.toml").write_text("[strategies.hosts]\npath = 'nowhere'\ndefault_port = 'x'")
    assert main(["discover", "hosts", "--option", "default_port=7400"]) == 1
    assert capsys.readouterr().err == (
        "foundation: the file of hosts nowhere cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["statik"], "there is no discovery strategy 'statik'"),
        (["auto"], "auto is no strategy"),
        (["static", "--option", "addresses"], "an option is written KEY=VALUE"),
        (["static", "--option", "adresses=a:1"], "did you mean strategies.static.addresses?"),
        (["static", "--option", "default_port=x"], "must be a number from 0 to 65535"),
        (["hosts"], "needs its option 'path'"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_told(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what to write instead."""
    assert main(["discover", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_strategies_of_ones_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By path, and by the name that a distribution registers: to look, to check, for the schema."""
    monkeypatch.setenv("COLUMNS", "200")
    install_into(folder, GROUP, {"zoo": "zoo_of_ours:Zoo", "lost": "zoo_of_ours:Lost"}, zoo_of_ours=OURS)
    for name in ("zoo_of_ours:Zoo", "zoo"):
        assert main(["discover", name, "--option", "port=9"]) == 0
        assert "127.0.0.1:9" in capsys.readouterr().out
    (folder / "foundation.toml").write_text("cluster = 'zoo'\n[strategies.zoo]\nport = 9")
    assert main(["config", "--check"]) == 0
    (folder / "foundation.toml").write_text("cluster = 'zoo'\n[strategies.zoo]\nprt = 9")
    assert main(["config", "--check"]) == 1
    assert "did you mean strategies.zoo.port?" in capsys.readouterr().err
    assert main(["config", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$defs"]["strategy zoo"]["properties"]["port"]["type"] == "integer"
    assert "zoo" in schema["properties"]["cluster"]["items"]["anyOf"][0]["enum"]
    (folder / "foundation.toml").unlink()
    assert main(["discover", "lost"]) == 2
    assert "the distribution zoo 1.2 says it is zoo_of_ours:Lost" in capsys.readouterr().err
