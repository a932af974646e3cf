"""The examples of the configuration are valid, and say the same in TOML and in Python."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import foundation
from foundation.config import load_config
from foundation.config.loading import check
from foundation.config.reading import read_sources
from foundation.errors import ConfigurationError

FOLDER = Path(__file__).parents[2] / "examples" / "config"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
SEVERAL = {"level4": ["app", "ai", "analytics"], "enterprise": ["web", "ai", "data"]}


class Started(Exception):  # noqa: N818 - no error
    """The example came as far as starting a cluster."""


def arguments_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """Run the example up to the start of its cluster."""
    seen: dict[str, Any] = {}

    def start_cluster(**arguments: Any) -> None:
        seen.update(arguments)
        raise Started

    monkeypatch.setattr(foundation, "start_cluster", start_cluster)
    description = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    with pytest.raises(Started):
        module.main().send(None)
    return seen


def test_each_has_both_forms() -> None:
    """Every example is there as TOML and as Python, for each of the four levels."""
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES
    assert {f"level{number}" for number in range(1, 5)} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_with_it(name: str) -> None:
    """``foundation config --check`` has nothing to say, for any of its clusters and strategies."""
    assert check(read_sources({"config": FOLDER / f"{name}.toml"}, {})) == ()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SEVERAL])
def test_both_forms_say_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the arguments come to the same record."""
    given = {"name": "node", "cookie": "tests"}
    arguments = arguments_of(name, monkeypatch)
    in_file = load_config({**given, "config": FOLDER / f"{name}.toml"}, {})
    assert in_file == load_config({**given, **arguments, "config": ""}, {})
    if name not in {"level1", "development"}:
        assert in_file != load_config({**given, "config": ""}, {})


@pytest.mark.parametrize("name", SEVERAL)
def test_one_of_several_clusters_can_be_chosen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms have the same clusters; each can be started by its name, and none without."""
    arguments = arguments_of(name, monkeypatch)
    for cluster in SEVERAL[name]:
        given = {"name": "node", "cookie": "tests", "cluster_name": cluster}
        in_file = load_config({**given, "config": FOLDER / f"{name}.toml"}, {})
        assert in_file == load_config({**given, **arguments, "config": ""}, {})
        assert in_file.cluster_name == cluster
        assert in_file.strategies == (arguments["clusters"][cluster]["cluster"],)
    with pytest.raises(ConfigurationError, match="3 clusters are configured"):
        load_config({**arguments, "cookie": "tests", "config": ""}, {})
