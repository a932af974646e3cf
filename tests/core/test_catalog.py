"""Adapters are found by name, by entry point or by path, and an unknown name helps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from foundation.core.catalog import Catalog
from foundation.errors import ConfigurationError, UnknownStrategyError
from tests.distributions import install_into


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    folder = tmp_path / "catalog_of_animals"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "cat.py").write_text("class Animal: sound = 'meow'\n")
    (folder / "dog.py").write_text("class Animal: sound = 'woof'\n")
    (folder / "fish.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("catalog_of_animals")]:
        monkeypatch.delitem(sys.modules, name)
    return Catalog("animal", "catalog_of_animals", "Animal")


def install(folder: Path, points: dict[str, str], **modules: str) -> None:
    install_into(folder, "catalog_of_animals", points, **modules)


def test_a_name_is_the_file_of_that_name(catalog: Catalog) -> None:
    """A file in the folder is found by its name, and nothing else is imported for it."""
    assert catalog.find("cat").sound == "meow"
    assert "catalog_of_animals.dog" not in sys.modules
    assert "catalog_of_animals.fish" not in sys.modules


def test_all_names_are_listed_without_importing_them(catalog: Catalog) -> None:
    """The list of names is complete, even when one of them cannot be imported here."""
    assert {"cat", "dog", "fish"} <= set(catalog.names())
    assert "catalog_of_animals.cat" not in sys.modules


def test_a_dotted_path_names_any_class(catalog: Catalog) -> None:
    """``package.module:Class`` reaches an adapter that lives elsewhere."""
    assert catalog.find("json:JSONDecoder") is json.JSONDecoder


def test_a_distribution_can_bring_one(catalog: Catalog, tmp_path: Path) -> None:
    """A name that an installed distribution registers is known and listed, and imported once it is asked for."""
    assert not catalog.knows("crow")
    install(tmp_path, {"crow": "birds_of_somebody:Crow"}, birds_of_somebody="class Crow: sound = 'caw'\n")
    assert catalog.knows("crow")
    assert "crow" in catalog.names()
    assert "birds_of_somebody" not in sys.modules
    assert catalog.find("crow").sound == "caw"


def test_our_own_names_win(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution cannot put something else in the place of a built-in name, which no distribution is asked for."""
    install(tmp_path, {"cat": "lions:Lion"}, lions="class Lion: sound = 'roar'\n")
    assert catalog.find("cat").sound == "meow"
    assert catalog.names().count("cat") == 1
    monkeypatch.delitem(sys.modules, "importlib.metadata", raising=False)
    assert catalog.knows("cat")
    assert catalog.find("cat").sound == "meow"
    assert "importlib.metadata" not in sys.modules


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no_such_module:X", "No module named 'no_such_module'"),
        ("grass:Snake", "has no attribute 'Snake'"),
        ("poison:Snake", "ValueError: it bites"),
    ],
)
def test_a_broken_one_names_its_distribution(catalog: Catalog, tmp_path: Path, value: str, text: str) -> None:
    """Whatever somebody else's code raises becomes an error that says whose code that is."""
    install(tmp_path, {"snake": value}, grass="", poison="raise ValueError('it bites')\n")
    with pytest.raises(ConfigurationError) as caught:
        catalog.find("snake")
    assert f"the animal 'snake' cannot be loaded: the distribution zoo 1.2 says it is {value}" in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["bird", "", "Cat", "cat.py", "../cat", "catalog_of_animals.cat", "__init__", "cat/x"])
def test_an_unknown_name_lists_the_names_there_are(catalog: Catalog, name: str) -> None:
    """Whatever the name is, the error names it and all that would do."""
    with pytest.raises(UnknownStrategyError) as caught:
        catalog.find(name)
    assert repr(name) in str(caught.value)
    assert "cat, dog, fish" in str(caught.value)


@pytest.mark.parametrize("path", ["no_such_module:X", "json:NoSuchClass", ":X", "json:", ".json:X", ":", "a:b:c"])
def test_a_path_that_leads_nowhere_is_a_configuration_error(catalog: Catalog, path: str) -> None:
    """A wrong path is reported as a wrong value, with the path."""
    with pytest.raises(ConfigurationError) as caught:
        catalog.find(path)
    assert path in str(caught.value)


def test_a_missing_library_is_not_an_unknown_name(catalog: Catalog) -> None:
    """An adapter whose library is absent says which one, instead of not being there."""
    with pytest.raises(ImportError, match="a_library_that_nobody_has"):
        catalog.find("fish")
