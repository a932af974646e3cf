"""Every module can be imported first, and a program loads no more of the package than it uses."""

from __future__ import annotations

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import foundation

SOURCE = Path(__file__).resolve().parent.parent / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in SOURCE.rglob("*.py")
)
pytestmark = pytest.mark.timeout(120)  # the first test imports them all
HEAVY = ("numpy", "pydantic", "pydantic_settings", "rich", "typer", "zenoh", "zeroconf")

# Python imports packages before what is in them. So what a package has loaded was loaded as if it had been asked for
# first, and for the rest a fork of an interpreter that has imported the package, and nothing else, is as good as a new
# one. Prints [module, failure] as a line of JSON for each.
EACH_FIRST = """
import json, os, sys, traceback
modules = sys.argv[1:]

def import_first(module):
    failure = ""
    try:
        __import__(module)
    except BaseException:
        failure = traceback.format_exc()[-3000:]
    os.write(1, json.dumps([module, failure]).encode() + b"\\n")
    if not failure:
        import_inside(module)

def import_inside(package):
    for module in (name for name in modules if name.rpartition(".")[0] == package):
        if module in sys.modules:
            import_first(module)
        elif not os.fork():
            import_first(module)
            os._exit(0)
        else:
            os.wait()

import_inside("")
"""


def run_python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=100).stdout


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    return dict(json.loads(line) for line in run_python(EACH_FIRST, *MODULES).splitlines())


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_on_its_own(module: str, failures: dict[str, str]) -> None:
    """No module needs another one to have been imported before it."""
    if failure := failures.get(module, "the import of its package failed, or ended the interpreter"):
        pytest.fail(f"import {module}\n{failure}", pytrace=False)


def loaded_by(statement: str) -> set[str]:
    return set(run_python(f"import sys\n{statement}\nprint(*sys.modules)").split())


def packages_among(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.startswith("foundation.") and name.count(".") == 1}


def test_importing_the_package_loads_nothing_of_it() -> None:
    """``import foundation`` loads none of our other modules, and none of what they stand on."""
    loaded = loaded_by("import foundation")
    assert {name for name in loaded if name.startswith("foundation")} <= {"foundation"}
    assert not loaded & {"asyncio", "dataclasses", "msgspec", "typing"}


def test_the_base_of_processes_loads_no_cluster() -> None:
    """A program that only defines processes, such as a worker's, pays for the processes alone."""
    loaded = loaded_by("from foundation import Process, child, offload")
    assert packages_among(loaded) == {"foundation.core", "foundation.errors", "foundation.processes"}


def test_what_starts_a_cluster_is_cheap() -> None:
    """``foundation.start_cluster`` loads neither the engine nor what only a command line or a strategy needs."""
    loaded = loaded_by("import foundation\nfoundation.start_cluster, foundation.Process")
    assert "foundation.cluster" in loaded
    assert not loaded & set(HEAVY)
    assert not packages_among(loaded) & {"foundation.blocking", "foundation.cli", "foundation.testing"}


def test_the_public_face_is_the_same_for_type_checkers_and_at_run_time() -> None:
    """What type checkers read, what is promised and what is loaded at first use are the same names and places."""
    tree = ast.parse((SOURCE / "foundation" / "__init__.py").read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If)).body
    static = {
        node.module: tuple(alias.name for alias in node.names) for node in checked if isinstance(node, ast.ImportFrom)
    }
    assert static == foundation._HOMES
    assert foundation.__all__ == sorted(name for names in static.values() for name in names)


def test_the_public_face_looks_whole_before_it_is_used() -> None:
    """``dir()``, help, completion and ``import *`` see every name in a program that has used none of them."""
    seen = run_python("import foundation; print(*dir(foundation))").split()
    assert set(foundation.__all__) | {"errors", "processes"} <= set(seen)
    assert len(seen) == len(set(seen))
    starred = run_python("from foundation import *; print(*globals())").split()
    assert set(foundation.__all__) <= set(starred)
    described = run_python("import foundation, pydoc; print(pydoc.plain(pydoc.render_doc(foundation)))")
    assert "start_cluster(*, cluster:" in described


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist is reported as for any other module."""
    with pytest.raises(AttributeError, match="module 'foundation' has no attribute 'start_clutser'") as caught:
        getattr(foundation, "start_clutser")  # noqa: B009 - type checkers know that it does not exist
    assert (caught.value.name, caught.value.obj) == ("start_clutser", foundation)  # what the suggestion is made from


def test_classes_of_the_public_face_can_be_pickled() -> None:
    """A class travels by the place where it is defined, which loads it."""
    pickled = run_python("import foundation, pickle; print(pickle.dumps(foundation.Backoff()).hex())")
    assert pickle.loads(bytes.fromhex(pickled)) == foundation.Backoff()  # noqa: S301 - made above
