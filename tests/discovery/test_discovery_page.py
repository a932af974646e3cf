"""The page about finding nodes tells of every option."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from foundation.discovery.catalog import STRATEGIES

PAGE = Path(__file__).parent.parent.parent / "docs" / "discovery.md"


@pytest.mark.parametrize("name", ["dns", "kubernetes", "kubernetes_dns", "kubernetes_dns_srv"])
def test_every_option_is_in_the_table_of_its_strategy(name: str) -> None:
    """The section that makes the strategy has a row for each of its options."""
    sections = re.split(r"^##+ ", PAGE.read_text(), flags=re.MULTILINE)
    (section,) = (text for text in sections[1:] if f'("{name}"' in text or f'cluster="{name}"' in text)
    rows = "".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))
    listed = set(re.findall(r"`(\w+)`", rows))
    assert {field.name for field in fields(STRATEGIES.find(name).Options)} <= listed
