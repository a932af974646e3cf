"""The command line that all programs share: ``server`` prints where it listens, ``client`` prints what it measured."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import platform
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import fields
from typing import Any

from benchmarks.calls.measuring import Plan

Ready = Callable[[str], Awaitable[None]]
Serve = Callable[[Plan, Ready], Coroutine[Any, Any, None]]
Call = Callable[[Plan, str], Coroutine[Any, Any, dict[str, Any]]]


def main(serve: Serve | None, call: Call, *packages: str) -> None:
    """Run one side of a system; ``packages`` are those whose versions belong to the result.

    A server serves until its standard input ends, so none outlives the one who started it. A system that starts its
    other process itself has no server.
    """
    arguments = _parse()
    plan = plan_from(arguments.plan)
    if arguments.role == "client":
        figures = _run(call(plan, arguments.address))
        versions = {"python": platform.python_version()} | {name: version_of(name) for name in (*packages, "uvloop")}
        print(json.dumps(figures | {"versions": versions | figures.get("versions", {})}), flush=True)
    elif serve is not None:
        _run(serve(plan, _ready))


def plan_from(text: str) -> Plan:
    """Read a plan as JSON; what it does not say has its default."""
    known = {field.name for field in fields(Plan)}
    values = json.loads(text)
    if unknown := values.keys() - known:
        message = f"a plan has no {', '.join(sorted(unknown))}"
        raise ValueError(message)
    if "callers" in values:
        values["callers"] = tuple(values["callers"])
    return Plan(**values)


def version_of(package: str) -> str:
    """Return the installed version of a package, or ``absent``."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["server", "client"])
    parser.add_argument("--plan", default="{}", help="how much is measured, as JSON")
    parser.add_argument("--address", default="", help="what the server printed")
    return parser.parse_args()


def _run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the work returns
    """Run on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


async def _ready(address: str) -> None:
    """Say that the server is ready, and wait until it is no longer needed."""
    print(json.dumps({"address": address}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
