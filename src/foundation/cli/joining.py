"""The options of every command that joins a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from foundation.core.loops import new_event_loop

T = TypeVar("T")

ClusterName = Annotated[
    str | None,
    typer.Option("--cluster-name", metavar="NAME", help="The cluster to join; other names do not mix. Default: main."),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--cluster",
        metavar="STRATEGY",
        help="How nodes find each other; repeat it or separate by commas. Default: local,mdns.",
    ),
]
Peers = Annotated[
    list[str] | None,
    typer.Option("--peer", metavar="HOST:PORT", help="The address of a node to try besides; repeatable."),
]
Host = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Listen on this address. Default: 127.0.0.1."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read this file. Default: $FOUNDATION_CONFIG, else the nearest foundation.toml.",
    ),
]
CookieFile = Annotated[
    Path | None,
    typer.Option(
        "--cookie-file",
        metavar="FILE",
        help="Read the cluster's cookie here. Default: $FOUNDATION_COOKIE, else your own.",
    ),
]

Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to look for a node.")]


def joining(
    cluster_name: str | None,
    strategies: list[str] | None,
    peers: list[str] | None,
    host: str | None,
    cookie_file: Path | None,
    config: Path | None,
) -> dict[str, Any]:
    """Return these options as arguments of ``start_cluster``; what was not given is left to the environment."""
    return {
        "cluster_name": cluster_name,
        "cluster": split(strategies),
        "peers": split(peers),
        "host": host,
        "cookie_file": cookie_file,
        "config": config,
    }


def split(texts: list[str] | None) -> list[str] | None:
    """Take an option that may be repeated or hold several values separated by commas; None when not given."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()] if texts else None


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` on an event loop of uvloop, where that is installed."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work())
