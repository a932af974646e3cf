"""``foundation discover``: whom a strategy finds now."""

from __future__ import annotations

import json as json_format
import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from foundation.cli.failure import CommandFailed
from foundation.cli.joining import ClusterName, ConfigFile, CookieFile, Host, run
from foundation.cli.looking import Found, knock_at, looker
from foundation.config import Config
from foundation.config.detection import AUTO
from foundation.config.loading import preview
from foundation.config.reading import read_sources
from foundation.discovery.bounded import BoundedCallError


def discover(  # noqa: PLR0913 - the options of the command
    strategy: Annotated[
        str, typer.Argument(metavar="STRATEGY", help="Its name, or package.module:Class of one of your own.")
    ],
    *,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the strategy, over those configured; repeatable."),
    ] = None,
    cluster_name: ClusterName = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to look while nobody is found.")
    ] = 4.0,
) -> int:
    """Show whom a strategy finds now, and whether a node answers there. It announces nothing."""
    if strategy == AUTO:
        message = f"{AUTO} is no strategy: `foundation config` shows which it stands for here, `foundation doctor` why"
        raise CommandFailed(message, exit_code=2)
    given: dict[str, Any] = {
        "cluster": (strategy,),
        "fallback": (),
        "cluster_name": cluster_name,
        "host": host,
        "cookie_file": cookie_file,
        "config": config,
    }
    if options := dict(map(_pair, option or ())):
        given["strategies"] = {strategy: options}
    loaded = preview(read_sources(given, os.environ), listens=False)
    try:
        found = run(lambda: _look(strategy, loaded, timeout))
    except BoundedCallError as error:
        raise CommandFailed(str(error)) from None
    _print(strategy, found, as_json=json)
    return 0


async def _look(strategy: str, config: Config, patience_s: float) -> list[Found]:
    async with looker(strategy, config) as looking:
        return await knock_at(await looking.look_for(patience_s), config)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        message = f"an option is written KEY=VALUE, such as --option port=7400, not {text!r}"
        raise CommandFailed(message, exit_code=2)
    return key, value


def _print(strategy: str, found: Sequence[Found], *, as_json: bool) -> None:
    if as_json:
        print(json_format.dumps({"strategy": strategy, "peers": [each.as_dict() for each in found]}, indent=2))
    elif not found:
        print(f"{strategy} finds nobody")
    else:
        from foundation.cli.discover_table import print_found  # noqa: PLC0415 - rich

        print_found(strategy, found)
