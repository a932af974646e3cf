"""``foundation config``: the values with their origin, the schema, and the check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.cli.main import main
from foundation.config import load_config
from foundation.config.keys import SHORT, hints_of
from foundation.config.settings import Settings
from foundation.discovery import environment
from foundation.discovery.catalog import STRATEGIES

FILE = """
cookie = "hush"
cluster = ["static", "mdns"]
[membership]
down_after_s = 20
[strategies.static]
addresses = ["redis://anne:hush@host:1"]
[strategies.mine]
password = "hush"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FOUNDATION_COOKIE", "FOUNDATION_CLUSTER", "FOUNDATION_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def values(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    assert main(["config", "--json", *arguments]) == 0
    found: dict[str, dict[str, Any]] = json.loads(capsys.readouterr().out)["values"]
    return found


def test_each_value_has_its_origin(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value comes with the source and the place that gave it."""
    (folder / "foundation.toml").write_text("profile = 'production'\n[membership]\ndown_after_s = 20")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "cookie").write_text("hush")
    monkeypatch.setenv("FOUNDATION_SECRETS_DIR", "secrets")
    monkeypatch.setenv("FOUNDATION_PORT", "7400")
    found = values(capsys, "--cluster-name", "shop")
    assert found["membership.down_after_s"] == {"value": 20.0, "source": "file", "place": "foundation.toml:3"}
    assert found["fabric.port"] == {"value": 7400, "source": "environment", "place": "FOUNDATION_PORT"}
    assert found["cookie"] == {"value": "***", "source": "secrets", "place": "secrets/cookie"}
    assert found["join_timeout_s"] == {"value": 10.0, "source": "profile", "place": "profile production"}
    assert found["cluster_name"] == {"value": "shop", "source": "argument", "place": "start_cluster"}
    assert found["membership.tick_s"] == {"value": 0.5, "source": "default", "place": "default"}


def test_what_was_detected_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """``auto`` is shown as what it stands for here, and by which environment; editors know the word."""
    monkeypatch.setattr(environment, "ROOT", folder)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "127.0.0.1:8500")
    monkeypatch.setenv("FOUNDATION_CLUSTER", "auto")
    found = values(capsys, "--profile", "auto")
    place = {"source": "detected", "place": "detected: consul"}
    assert found["cluster"] == {"value": ["consul"]} | place
    assert found["fallback"] == {"value": ["gossip"]} | place
    assert found["profile"] == {"value": "production"} | place
    assert main(["config", "--check"]) == 0
    assert main(["config", "--schema"]) == 0
    printed = capsys.readouterr().out.partition("\n")[2]
    assert "auto" in json.loads(printed)["properties"]["cluster"]["items"]["anyOf"][0]["enum"]


def test_every_key_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """All fields of all records are there, with the values that a node would have."""
    found = values(capsys)
    config = load_config({"cookie": "tests"}, {})
    for name in ("fabric", "membership", "discovery", "processes", "replication", "registry", "distribution"):
        record = getattr(config, name)
        for field in hints_of(type(record)):
            value = getattr(record, field)
            rows = [key for key in found if key == f"{name}.{field}" or key.startswith(f"{name}.{field}.")]
            assert rows, f"{name}.{field}"
            if rows == [f"{name}.{field}"]:
                assert found[rows[0]]["value"] == value
    assert {"name", "cookie", "cluster", "fallback", "profile", "peers", "roles"} <= found.keys()


@pytest.mark.parametrize("form", [["--json"], []])
def test_secrets_are_not_shown(form: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the table nor JSON show a cookie, a password, or one inside of an address."""
    (folder / "foundation.toml").write_text(FILE.replace("mine", '"shop:Mine"').replace("redis://anne:hush@", ""))
    (folder / "shop.py").write_text("class Mine: ...")
    assert main(["config", *form]) == 0
    printed = capsys.readouterr().out
    assert "hush" not in printed
    assert "***" in printed
    assert '"host:1"' in printed
    (folder / "foundation.toml").write_text(FILE)
    assert main(["config", *form]) == 2
    assert "hush" not in capsys.readouterr().err


def test_the_table_names_file_and_profile(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments people get a table."""
    (folder / "mine.toml").write_text("roles = ['web', 'db']")
    assert main(["config", "mine.toml", "--profile", "enterprise"]) == 0
    printed = capsys.readouterr().out
    assert "mine.toml, profile enterprise" in printed
    assert '["web", "db"]' in printed
    assert "mine.toml:1" in printed
    assert "profile enterprise" in printed


def test_several_clusters_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a choice each cluster's own values are shown, with one its own are those that count."""
    (folder / "foundation.toml").write_text("[clusters.app]\nport = 1\n[clusters.ai]\nport = 2")
    assert values(capsys)["clusters.ai.fabric.port"]["value"] == 2
    found = values(capsys, "--cluster-name", "ai")
    assert (found["fabric.port"]["value"], found["cluster_name"]["value"]) == (2, "ai")


def test_check_lists_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and a line for each problem, in every cluster and every strategy, used or not."""
    (folder / "mine.toml").write_text(
        "[strategies.mdns]\nttl = 1\n[clusters.app]\ncluster = 'statik'\n[clusters.ai]\nport = 1\nobserver = 'x'"
    )
    assert main(["config", "--check", "mine.toml"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "foundation: 3 problems in the configuration",
        "  mine.toml:4: clusters.app.cluster: there is no strategy 'statik'; did you mean 'static'?",
        "  mine.toml:2: strategies.mdns.ttl: there is no such key; did you mean strategies.mdns.ttl_s?",
        "  mine.toml:7: clusters.ai.observer must be true or false, not 'x'",
    ]


def test_check_is_content_with_several_clusters(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can only not be started together is no mistake; and what is unsafe is one."""
    (folder / "foundation.toml").write_text("[clusters.app]\nport = 1\n[clusters.ai]\nport = 2")
    assert main(["config", "--check"]) == 0
    assert capsys.readouterr().out == f"{folder / 'foundation.toml'} is fine\n"
    monkeypatch.setenv("FOUNDATION_COOKIE", "")
    monkeypatch.setenv("FOUNDATION_HOST", "0.0.0.0")
    assert main(["config", "--check"]) == 1
    assert "refusing to listen on 0.0.0.0 without a cookie" in capsys.readouterr().err


def test_the_schema_knows_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors learn the keys, their types, bounds and meaning, and the options of the strategies."""
    assert main(["config", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"].keys() == {*hints_of(Settings), *SHORT}
    assert schema["properties"]["port"]["maximum"] == 65535
    assert schema["additionalProperties"] is False
    tick = schema["$defs"]["MembershipOptions"]["properties"]["tick_s"]
    assert (tick["type"], tick["minimum"], tick["default"]) == ("number", 0, 0.5)
    assert tick["description"].startswith("Seconds between two looks at the clock.")
    assert set(schema["properties"]["strategies"]["properties"]) == set(STRATEGIES.names())
    assert "addresses" in schema["$defs"]["strategy static"]["properties"]


@pytest.mark.parametrize("command", ["node", "status", "drain x", "undrain x", "migrate x y"])
def test_commands_take_a_file(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--config`` names the file for every command that joins a cluster, and its problems are told one a line."""
    (folder / "mine.toml").write_text("nmae = 'a'\nport = 'x'")
    assert main([*command.split(), "--config", "mine.toml"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "foundation: 2 problems in the configuration:",
        "  mine.toml:1: nmae: there is no such key; did you mean name?",
        "  mine.toml:2: port must be a number from 0 to 65535 (0: any free one), not 'x'",
    ]


def test_workers_cannot_share_a_port_of_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fixed port is refused wherever it comes from, and the message says where that is."""
    (folder / "foundation.toml").write_text("cluster = 'local'\nport = 7400")
    assert main(["node", "--workers", "2"]) == 2
    assert "workers cannot share a port: leave out foundation.toml:2: port" in capsys.readouterr().err
