"""A tiny distribution, as an installer leaves it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path


def install_into(folder: Path, group: str, points: Mapping[str, str], **modules: str) -> None:
    """Install the distribution ``zoo`` 1.2 with these entry points and modules into a folder on the path."""
    about = folder / "zoo-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.2\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    importlib.invalidate_caches()
