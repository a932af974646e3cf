"""What a node of a :class:`ProcessCluster` is: a program that starts it, and obeys what comes in at standard input.

The first line of standard input is what to start; each further one is a command. Answers and what happens to members
leave at what was standard output. What the user's code prints goes to standard error instead, into the node's log. When
the input ends, so does the program, at once: its test is gone.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import logging
import os
import traceback
from collections.abc import Mapping
from io import FileIO
from typing import Any

from foundation.cluster import Cluster, start_cluster
from foundation.core.loops import new_event_loop
from foundation.core.tasks import TaskScope
from foundation.testing.cluster import options_from
from foundation.testing.real.lines import LONGEST_LINE, encoded, line_of


def main() -> None:
    """Be a node until told otherwise."""
    commands, answers = os.dup(0), os.dup(1)
    with open(os.devnull) as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    stream = os.fdopen(commands, "rb", buffering=0)
    setup: dict[str, Any] = json.loads(stream.readline())
    with asyncio.Runner(loop_factory=new_event_loop if setup["uvloop"] else None) as runner:
        runner.run(_Node(stream, answers).run(setup))


class _Node:
    """The node of this program."""

    def __init__(self, commands: FileIO, answers: int) -> None:
        self._commands = commands
        self._answers = answers

    async def run(self, setup: Mapping[str, Any]) -> None:
        commands = asyncio.StreamReader(limit=LONGEST_LINE)
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(commands), self._commands
        )
        logging.basicConfig(level=setup["log_level"], format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        for module in setup["modules"]:
            importlib.import_module(module)
        async with start_cluster(**options_from(setup["options"])) as cluster, TaskScope("commands") as tasks:
            tasks.start(self._tell_events(cluster), "tell events")
            self._tell(event="ready", node_id=cluster.node.node_id, address=cluster.address)
            await self._obey(commands, cluster, tasks)
        pipe.close()

    async def _obey(self, commands: asyncio.StreamReader, cluster: Cluster, tasks: TaskScope) -> None:
        while line := await commands.readline():
            command: dict[str, Any] = json.loads(line)
            if command["do"] == "leave":
                return
            if command["do"] == "exit":
                break
            tasks.start(self._answer(command, cluster), command["do"])
        os._exit(0)

    async def _answer(self, command: Mapping[str, Any], cluster: Cluster) -> None:
        answer: dict[str, Any]
        try:
            if command["do"] == "members":
                result: Any = [(m.node_id, m.name, m.status) for m in cluster.members()]
            else:
                result = await _call(command, cluster)
            answer = {"result": result}
        except Exception as error:  # noqa: BLE001 - the test is told
            kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
            answer = {"error": {"type": kind, "message": str(error), "traceback": traceback.format_exc()}}
        self._tell(answer=command["id"], **answer)

    async def _tell_events(self, cluster: Cluster) -> None:
        async with cluster.events() as events:
            async for event in events:
                member = event.member
                self._tell(event="member", name=member.name, node_id=member.node_id, status=member.status)

    def _tell(self, **facts: Any) -> None:  # noqa: ANN401
        line = memoryview(line_of(**facts))
        while line:
            line = line[os.write(self._answers, line) :]


async def _call(command: Mapping[str, Any], cluster: Cluster) -> Any:  # noqa: ANN401 - any value of JSON
    module, _, name = command["function"].partition(":")
    function = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    result = await function(cluster, *command["args"], **command["kwargs"])  # type: ignore[operator]
    return encoded(f"what {command['function']} returns", result)
