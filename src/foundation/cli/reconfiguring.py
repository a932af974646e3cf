"""``foundation reconfigure``: change the configuration of all nodes while they run, or show what was changed."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from foundation.cli.failure import CommandFailed
from foundation.cli.joining import ClusterName, ConfigFile, CookieFile, Host, Peers, Strategies, Timeout, joining, run
from foundation.cli.observing import observing
from foundation.reconfiguration import Setting

_BAD_INPUT = 2
Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE...",
        help="A key of the configuration with its new value; KEY= takes back what was said at run time. Without any:"
        " show what was said.",
    ),
]


def reconfigure(  # noqa: PLR0913 - the options of the command
    changes: Changes = None,
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Timeout = 2.0,
) -> int:
    """Change the configuration of all nodes while they run, or of none; without a change show what was changed."""
    values = _values(changes or ())
    arguments = joining(cluster_name, cluster, peer, host, cookie_file, config)
    found, text = run(lambda: _change(arguments, timeout, values) if values else _show(arguments, timeout))
    print(json_format.dumps(found, indent=2) if json else text)
    return 0


async def _change(arguments: dict[str, Any], timeout_s: float, values: dict[str, str | None]) -> tuple[Any, str]:
    async with observing(arguments, timeout_s) as cluster:
        report = await cluster.reconfigure(values)
    return report.as_dict(), str(report)


async def _show(arguments: dict[str, Any], timeout_s: float) -> tuple[Any, str]:
    async with observing(arguments, timeout_s) as cluster:
        settings = await cluster.settings()
    lines = [f"{setting}\n  said on {setting.node} {_when(setting)}" for setting in settings]
    return {"settings": [asdict(setting) for setting in settings]}, "\n".join(lines) or "nothing was said at run time"


def _values(changes: Sequence[str]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign or not key.strip():
            message = f"{change!r} is not KEY=VALUE, as in membership.down_after_s=20"
            raise CommandFailed(message, _BAD_INPUT)
        if key.strip() in values:
            message = f"{key.strip()} is given twice"
            raise CommandFailed(message, _BAD_INPUT)
        values[key.strip()] = value.strip() or None
    return values


def _when(setting: Setting) -> str:
    return datetime.fromtimestamp(setting.at).astimezone().isoformat(" ", "seconds")
