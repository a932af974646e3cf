"""Every key of the configuration says when a change of it takes effect, and those that are live are used live."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation.cluster.assembly import Parts
from foundation.config.changeable import UNDECLARED, changeable, declared
from foundation.config.changes import SECTIONS, value_of
from foundation.config.keys import Key, UnknownKey, dotted, hints_of, may_be_none, record_type, type_of, without_none
from foundation.config.settings import Settings
from foundation.core.in_force import own_copy
from foundation.testing import SimulatedCluster, simulate
from tests.reconfiguration.steps import change

SOURCE = Path(__file__).resolve().parents[2] / "src" / "foundation"


def leaves(record: type = Settings, prefix: Key = ()) -> Iterator[Key]:
    """Give every key that has a value."""
    for name, annotation in hints_of(record).items():
        inner = record_type(annotation)
        if inner is None:
            yield (*prefix, name)
        else:
            yield from leaves(inner, (*prefix, name))


KEYS = list(leaves())
LIVE = [key for key in KEYS if changeable(key).when == "live"]
AT_ONCE = [key for key in LIVE if not changeable(key).note]


@pytest.mark.parametrize("key", KEYS, ids=dotted)
def test_each_key_is_declared(key: Key) -> None:
    """A new key is added to the table, with a reason where it is not live."""
    found = changeable(key)
    assert found.note != UNDECLARED, f"say in config/changeable.py when a change of {dotted(key)} takes effect"
    assert found.when == "live" or found.note


def test_each_declaration_is_of_a_key() -> None:
    """A key that was renamed or taken away is not in the table, and none is there twice."""
    names = Counter(declared())
    assert [name for name, count in names.items() if count > 1] == []
    for name in names:
        try:
            type_of(tuple(name.split(".")))
        except UnknownKey:
            pytest.fail(f"config/changeable.py names {name}, which is no key")


def another(key: Key, value: Any) -> Any:
    """Return a value that a key could have instead."""
    wanted = without_none(type_of(key))
    if wanted is bool:
        return not value
    if value is None or (may_be_none(type_of(key)) and not value):
        return 7.0
    if key[-1] == "jitter":
        return value / 2
    return value + 1


def records(parts: Parts) -> dict[str, list[Any]]:
    """Return the options that the parts of a node look at, as they hold them."""
    any_runner = next(iter(parts.discovery._runners.values()))
    return {
        "discovery": [parts.discovery._options, any_runner._options, any_runner._calls._options],
        "membership": [
            parts.membership._options,
            parts.membership._view._options,
            parts.membership._dialer._plan._options,
        ],
        "fabric": [
            parts.fabric._options,
            parts.fabric.peers._options,
            parts.fabric._door._options,
            parts.credentials._options,
        ],
        "processes": [parts.host.options, parts.host._reception._options],
        "registry": [parts.names.options, parts.names._seeker._options],
        "replication": [parts.replication._options, parts.replication.replica._options],
        "distribution": [
            parts.distribution.options,
            parts.distribution._placer._options,
            parts.distribution._mover._options,
            parts.distribution._rebalancing._options,
            parts.distribution._residents._options,
            parts.distribution._runner._options,
            parts.distribution._forgetting._options,
        ],
    }


def test_what_is_live_reaches_every_part_of_every_node() -> None:
    """All live keys are changed at once, and each part looks at the record that says so."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second = cluster.nodes
        own = {node.name: node.cluster.config for node in cluster.nodes}
        wanted = {dotted(key): another(key, value_of(first.cluster.config, dotted(key))) for key in LIVE}
        report = await first.run(change, wanted)
        assert {state for one in report.changes for state in one.nodes.values()} == {"live"}
        for node in (first, second):
            held = records(node.cluster._running)
            assert held.keys() == set(SECTIONS)
            for name, value in wanted.items():
                section, *rest = name.split(".")
                assert value_of(node.cluster.config, name) == value, name
                for record in held[section]:
                    found = record
                    for part in rest:
                        found = getattr(found, part)
                    assert found == value, name
        await second.run(change, dict.fromkeys(wanted))
        await asyncio.sleep(0.1)
        assert {node.name: node.cluster.config for node in cluster.nodes} == own

    simulate(scenario, 2, seed=1)


def test_a_node_that_is_told_loads_no_library_for_it() -> None:
    """Values come to it in their types, so it can check them without the 10 MB that find out types."""
    program = (
        "import sys; from foundation.config import load_config; from foundation.config.changes import checked_changes;"
        "config = load_config({'cookie': 'x', 'config': ''}, {});"
        "checked_changes({'membership.tick_s': 1.0, 'distribution.rebalance': True}, config);"
        "checked_changes({'membership.redial.first_s': 1.0, 'discovery.most_peers': 9, 'min_members': None}, config);"
        "print('pydantic' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def kept_at_construction(text: str, section: str) -> set[tuple[str, str]]:
    """Return the options of a section that a constructor takes out of their record, and that stay what they were."""
    found: set[tuple[str, str]] = set()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    for function in (function for function in functions if function.name == "__init__"):
        for node in ast.walk(function):
            if not isinstance(node, ast.Attribute):
                continue
            holder = node.value
            name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            if name in {"options", "_options", section}:
                found.add((section, node.attr))
    return found


def test_nobody_keeps_a_live_value_at_construction() -> None:
    """A part that copies a value out of its options when it is made would never see another one."""
    kept: set[tuple[str, str]] = set()
    for section in SECTIONS:
        for path in [*(SOURCE / section).rglob("*.py"), *(SOURCE / "cluster").rglob("*.py")]:
            if not {"strategies", "kubernetes"} & set(path.parts):  # which have options of their own
                kept |= kept_at_construction(path.read_text(), section)
    assert ("fabric", "window_bytes") in kept, "the test finds nothing"
    assert sorted(kept & set(AT_ONCE)) == []


def test_a_copy_is_its_parts_own() -> None:
    """What was given to a node is not changed with the node: others may have been given the same."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second = cluster.nodes
        before = first.cluster.config
        await second.run(change, {"membership.down_after_s": 33})
        assert before.membership.down_after_s == 10.0
        assert first.cluster.config.membership.down_after_s == 33.0
        assert own_copy(before.membership) is not before.membership

    simulate(scenario, 2, seed=1)
