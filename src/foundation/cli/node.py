"""``foundation node``: be a member until told to leave."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Annotated, Any

import typer

import foundation
from foundation.cli.announcer import Announcer
from foundation.cli.application import Main, load_application
from foundation.cli.joining import ClusterName, ConfigFile, CookieFile, Host, Peers, Strategies, joining, run, split
from foundation.cli.leaving import leave_at_end_of_stdin, leave_on_signals
from foundation.cli.readiness import tell_ready
from foundation.cli.workers import Workers, worker_arguments
from foundation.config.loading import choose
from foundation.config.reading import read_sources

logger = logging.getLogger(__name__)

_LEVELS = ("debug", "info", "warning", "error")


def node(  # noqa: PLR0913 - each is an option with its own help
    context: typer.Context,
    module: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE[:ATTRIBUTE]]",
            help="package.module or path/to/file.py with your processes; ATTRIBUTE is a supervisor(...) to run, "
            "or an async function that takes the cluster. Default: main, if there is one.",
        ),
    ] = None,
    *,
    name: Annotated[str | None, typer.Option(help="The node's name. Default: host and process id.")] = None,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    port: Annotated[int | None, typer.Option(help="Listen on this TCP port. Default: any free one.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="What the node is for; repeatable.")] = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one object a line.")] = False,
    until_eof: Annotated[bool, typer.Option("--until-eof", help="Leave when standard input ends.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Run so many nodes, each an OS process; 0: one per core.")
    ] = None,
    max_restarts: Annotated[
        int, typer.Option(min=0, help="End all when one of them is started again more often than this.")
    ] = 5,
    within: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="The time in which --max-restarts counts.")
    ] = 60.0,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    log_level: Annotated[str, typer.Option(help=f"Log to stderr from here: {', '.join(_LEVELS)}.")] = "warning",
) -> int:
    """Start a node, or several, with the processes of your module if you name one."""
    if log_level not in _LEVELS:
        message = f"the log level {log_level!r} is none of {', '.join(_LEVELS)}"
        raise typer.BadParameter(message)
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    if workers is not None:
        names = [f"{name or 'node'}-{number}" for number in range(1, (workers or os.cpu_count() or 1) + 1)]
        crew = Workers(names, worker_arguments(context), max_restarts, within)
        return run(lambda: _run_workers(context, crew, until_eof=until_eof))
    main = load_application(module) if module is not None else None
    arguments = joining(cluster_name, cluster, peer, host, cookie_file, config)
    arguments |= {"name": name, "port": port, "roles": split(role)}
    program = NodeProgram(Announcer(as_json=json), main, until_eof=until_eof, ready_fd=ready_fd)
    return run(lambda: program.serve(arguments))


async def _run_workers(context: typer.Context, workers: Workers, *, until_eof: bool) -> int:
    """Run the workers until they have ended."""
    given = {name: context.params.get(name) for name in ("config", "cluster_name", "port")}
    reading = read_sources(given, os.environ)
    port = choose(reading).get(("fabric", "port"))
    reading.problems.raise_if_any()
    if port is not None and port.value:
        message = f"workers cannot share a port: leave out {port.label if port.source != 'argument' else '--port'}"
        raise typer.BadParameter(message)
    if until_eof:
        leave_at_end_of_stdin(workers.leave)
    with leave_on_signals(workers.leave):
        return await workers.run()


class NodeProgram:
    """A node as a program: it prints what happens, runs the user's ``main`` beside it, and leaves when told to."""

    def __init__(self, announcer: Announcer, main: Main | None, *, until_eof: bool, ready_fd: int | None) -> None:
        self._announcer = announcer
        self._main = main
        self._until_eof = until_eof
        self._ready_fd = ready_fd
        self._told_to_leave = asyncio.Event()
        self._exit_code = 0

    async def serve(self, arguments: dict[str, Any]) -> int:
        """Take part until a signal, the end of standard input, or an end of ``main`` other than a return."""
        if self._until_eof:
            leave_at_end_of_stdin(self._leave)
        with leave_on_signals(self._leave):
            return await self._serve(arguments)

    async def _serve(self, arguments: dict[str, Any]) -> int:
        async with (
            foundation.start_cluster(**arguments) as cluster,
            cluster.events() as events,
            asyncio.TaskGroup() as group,
        ):
            self._announcer.ready(cluster)
            if self._ready_fd is not None:
                tell_ready(self._ready_fd)
            tasks = [group.create_task(self._announcer.follow(events))]
            if self._main is not None:
                tasks.append(group.create_task(self._run_main(self._main, cluster)))
            await self._told_to_leave.wait()
            for task in tasks:
                task.cancel()
        self._announcer.left()
        return self._exit_code

    async def _run_main(self, main: Main, cluster: foundation.Cluster) -> None:
        try:
            await main(cluster)
        except SystemExit as error:
            self._leave(error.code if isinstance(error.code, int) else int(error.code is not None))
        except Exception:
            logger.exception("main failed, so the node leaves")
            self._leave(1)

    def _leave(self, exit_code: int = 0) -> None:
        self._exit_code = exit_code
        self._told_to_leave.set()
