"""Adapters are found by name, by entry point or by path, and an unknown name helps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from foundation.core.catalog import Catalog
from foundation.errors import ConfigurationError, UnknownStrategyError


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
