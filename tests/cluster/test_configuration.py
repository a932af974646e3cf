"""What a file says is what a node does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import foundation
from foundation.config import load_config
from foundation.config.keys import dotted
from foundation.config.profiles import PROFILES
from tests.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

FILE = """
cookie = "tests"
cluster_name = "configured"
cluster = "static"
fallback = ["local"]
transport = "memory"
handle_signals = false
metadata = { zone = "a" }

[discovery]
fallback_after_s = 0.02

[strategies.local]
folder = "FOLDER"
"""


async def test_nodes_meet_as_their_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of addresses is empty, so the fallback is asked, in the folder that its table names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foundation.toml").write_text(FILE.replace("FOLDER", str(tmp_path / "rendezvous")))
    async with (
        foundation.start_cluster(name="one") as one,
        foundation.start_cluster(name="other", metadata={"zone": "b"}) as other,
    ):
        await eventually(lambda: len(one.members()) == len(other.members()) == 2)
        assert {member.name: member.metadata for member in one.members()} == {
            "one": {"zone": "a"},
            "other": {"zone": "b"},
        }
        assert one.config.strategy_names == ("static", "local")
        assert [path.name for path in (tmp_path / "rendezvous").iterdir()] == ["configured"]


async def test_peers_are_added_to_the_addresses_of_the_table() -> None:
    """Both lists are for the same strategy, which is turned on by peers alone."""
    peer = "127.0.0.1:9"
    async with foundation.start_cluster(
        cluster="static",
        cookie="tests",
        handle_signals=False,
        transport="memory",
        peers=[peer],
        strategies={"static": {"addresses": ["127.0.0.1:10"]}},
    ) as cluster:
        parts = cluster._running
        await eventually(lambda: parts.discovery.status()["static"].peers)
        found = {address for peer in parts.discovery.status()["static"].peers for address in peer.addresses}
    assert found == {peer, "127.0.0.1:10"}


def test_the_page_names_what_profiles_say() -> None:
    """The table of profiles in the documentation has each value."""
    _, _, page = PAGE.read_text().partition("\n## Profiles\n")
    table, _, _ = page.partition("\n\nOutside")
    rows = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)}
    assert {*PROFILES, "auto"} == rows.keys()
    before: dict[Any, Any] = {}
    for name, values in PROFILES.items():
        for key, value in values.items() - before.items():
            said = str(value).lower() if isinstance(value, bool) else f"{value:g}"
            assert f"`{dotted(key)} = {said}`" in rows[name]
        before = dict(values)


@pytest.mark.parametrize("number", range(2))
def test_files_of_the_page_are_valid(number: int, tmp_path: Path) -> None:
    """What the page shows has only keys that there are; strategies may come from elsewhere."""
    text = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[number]
    text = re.sub(r'"(kubernetes|consul|gossip)"', '"static"', text)
    text = text.replace(".kubernetes", ".mdns").replace('selector = "app=myapp"', "ttl_s = 10")
    (tmp_path / "page.toml").write_text(text)
    given = {"cookie": "tests", "config": tmp_path / "page.toml", "cluster_name": "ai" if number else None}
    assert load_config(given, {}).strategies == ("static",)
