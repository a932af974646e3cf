"""What the strategies that keep this node in a store have in common."""

from __future__ import annotations

import sys

import pytest

from foundation.discovery import make_strategy
from foundation.errors import MissingExtraError


@pytest.mark.parametrize(
    ("name", "library"), [("etcd", "httpx"), ("redis", "redis"), ("postgres", "psycopg"), ("consul", "httpx")]
)
def test_a_missing_library_is_named(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its library a strategy is not made, and the error gives the line that installs it."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf'pip install "foundation\[{name}\]"'):
        make_strategy(name)
