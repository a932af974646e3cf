"""The Flask example, served by several threads and by several nodes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.blocking.conftest import StartNodes
from tests.blocking.threads import WITHIN_S, in_thread

FILE = Path(__file__).parent.parent.parent / "examples" / "flask_counter.py"


@pytest.fixture(scope="module")
def example() -> Any:
    found = importlib.util.spec_from_file_location("flask_counter", FILE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_each_visit_is_counted_once(start_nodes: StartNodes, example: Any) -> None:
    """Requests in eight threads at once are all answered, and no two see the same count."""
    start_nodes("web")
    assert example.app.test_client().get("/").text == "visit 1\n"

    def requests() -> list[str]:
        client = example.app.test_client()
        return [client.get("/").text for _ in range(10)]

    outcomes = [in_thread(requests) for _ in range(8)]
    texts = [text for outcome in outcomes for text in outcome.result(WITHIN_S)]
    assert sorted(texts) == sorted(f"visit {count}\n" for count in range(2, 82))
