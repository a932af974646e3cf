"""Real nodes in OS processes of their own on this machine, which meet nobody else's."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import msgspec

from foundation.core.tasks import TaskScope
from foundation.errors import CallError
from foundation.testing.cluster import Side
from foundation.testing.errors import UnsupportedFault, WaitFailed
from foundation.testing.real.child import Child
from foundation.testing.real.process_node import ProcessNode

_LOOK_AGAIN_S = 0.25
_ANSWER_TIMEOUT_S = 1.0
_LAST_LINES = 20


class ProcessCluster:
    """``async with ProcessCluster(nodes=3, modules=["shop.carts"]) as cluster:``.

    Each node is an OS process with a home of its own, a cookie and the addresses of the others, and nothing from the
    environment's ``FOUNDATION_*``. Leaving the block kills them all.

    Args:
        nodes: How many; they are called ``node-0``, ``node-1`` ...
        modules: What they import before they start: modules with your process classes.
        start_timeout_s: How long a node may take to start.
        run_timeout_s: How long a function that is run on a node may take.
        log_level: From which level on the nodes log.
        uvloop: Whether the nodes run on uvloop, as those of ``foundation node`` do where it is installed.
        options: Arguments of :func:`foundation.start_cluster` for all nodes. ``fabric``, ``membership``, ``discovery``
            and ``processes`` may be given as mappings: ``membership={"down_after_s": 2}``.
    """

    def __init__(
        self,
        nodes: int = 3,
        modules: Iterable[str] = (),
        *,
        start_timeout_s: float = 20.0,
        run_timeout_s: float = 30.0,
        log_level: str = "INFO",
        uvloop: bool = False,
        **options: Any,  # noqa: ANN401 - any argument of start_cluster
    ) -> None:
        self._modules = list(modules)
        self._start_timeout_s = start_timeout_s
        self._log_level = log_level
        self._uvloop = uvloop
        self._options: dict[str, Any] = {"cluster": "static", "cookie": "a test"} | msgspec.to_builtins(options)
        self._nodes = [ProcessNode(f"node-{index}", self._begin, self._until, run_timeout_s) for index in range(nodes)]
        self._changed = asyncio.Event()
        self._tasks = TaskScope("cluster under test")
        self._stack = AsyncExitStack()
        self._folder = Path()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._prepare(stack)
            await self._start_all()
            await self.until_agreed(self._start_timeout_s)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def nodes(self) -> Sequence[ProcessNode]:
        """All nodes, whether they run or not."""
        return tuple(self._nodes)

    async def until_agreed(self, timeout_s: float = 10.0) -> None:
        """Wait until all nodes that run see each other as up, and nobody else.

        A paused node is not asked, and may be seen or not. Right after a cut everybody still agrees, since nobody has
        noticed: wait for that first, with :meth:`ProcessNode.until_sees`. Raises :class:`WaitFailed` with what each
        node saw last.
        """
        await self._until(self._look_for_agreement, "all nodes that run agree", timeout_s)

    async def partition(self, a: Side, b: Side) -> None:
        """Not here: raises :class:`UnsupportedFault`."""
        _refuse("partition", a, b)

    async def partition_oneway(self, a: Side, b: Side) -> None:
        """Not here: raises :class:`UnsupportedFault`."""
        _refuse("partition_oneway", a, b)

    async def heal(self) -> None:
        """Not here: raises :class:`UnsupportedFault`."""
        _refuse("heal")

    async def delay(self, a: Side, b: Side, extra_s: float) -> NoReturn:
        """Not with real nodes: raises :class:`UnsupportedFault`."""
        _refuse_by_packet("delay", a, b, extra_s)

    async def drop(self, a: Side, b: Side, rate: float) -> NoReturn:
        """Not with real nodes: raises :class:`UnsupportedFault`."""
        _refuse_by_packet("drop", a, b, rate)

    def logs(self, last: int | None = None) -> str:
        """Return what the nodes printed, all of it or the last so many lines of each."""
        parts = [f"--- {node.name}, {node.condition}:\n" + "\n".join(_end_of(node.log, last)) for node in self._nodes]
        return "\n".join(parts)

    def end_now(self) -> None:
        """Kill what still runs, without an event loop: for the end of a test that did not leave the block."""
        for node in self._nodes:
            node.end_now()
        self._remove_folder()

    async def _prepare(self, stack: AsyncExitStack) -> None:
        """Make what the nodes need; ``stack`` takes it away."""
        self._folder = Path(tempfile.mkdtemp(prefix="foundation-test-"))
        stack.callback(self._remove_folder)
        await stack.enter_async_context(self._tasks)
        stack.push_async_callback(self._close_nodes)

    def _remove_folder(self) -> None:
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = Path()

    async def _close_nodes(self) -> None:
        await asyncio.gather(*(node.close() for node in self._nodes))

    async def _start_all(self) -> None:
        await self._nodes[0].start()  # the others need its address
        try:
            async with asyncio.TaskGroup() as group:
                for node in self._nodes[1:]:
                    group.create_task(node.start())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _begin(self, node: ProcessNode, log: deque[str]) -> Child:
        """Start a process for a node, and wait until it takes part."""
        child = await Child.begin(
            node.name, self._prefix(node), self._environment(node), log, self._changed.set, self._tasks
        )
        options = {**self._options, "name": node.name, **self._place(node)}
        setup = {"modules": self._modules, "log_level": self._log_level, "uvloop": self._uvloop, "options": options}
        try:
            await child.set_up(setup, self._start_timeout_s)
        except BaseException as error:
            child.end_now()
            await child.process.wait()
            if isinstance(error, WaitFailed):
                message = f"{error}; it printed:\n" + "\n".join(_end_of(list(log), _LAST_LINES))
                raise WaitFailed(message) from None
            raise
        return child

    def _prefix(self, node: ProcessNode) -> Sequence[str]:
        """Return the command behind which a node runs."""
        del node
        return ()

    def _place(self, node: ProcessNode) -> Mapping[str, Any]:
        """Return the options by which a node listens and finds the others."""
        return {"host": "127.0.0.1", "peers": [other.address for other in self._nodes if other.runs and other != node]}

    def _environment(self, node: ProcessNode) -> Mapping[str, str]:
        home = self._folder / node.name
        home.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FOUNDATION_")}
        folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"), str(home))
        return kept | folders | {"PYTHONUNBUFFERED": "1", "FOUNDATION_CONFIG": ""}

    async def _look_for_agreement(self) -> str | None:
        asked = [node for node in self._nodes if node.runs and not node.is_paused]
        views = await asyncio.gather(*(node.view(_ANSWER_TIMEOUT_S) for node in asked), return_exceptions=True)
        needed = {node.node_id for node in asked}
        allowed = {node.node_id for node in self._nodes if node.runs}
        sets = [{(node, status) for node, _, status in view} for view in views if not isinstance(view, BaseException)]
        agreed = all(seen == sets[0] for seen in sets) and len(sets) == len(views)
        if agreed and all(
            needed <= {n for n, _ in seen} <= allowed and {s for _, s in seen} <= {"up"} for seen in sets
        ):
            return None
        return "\n".join(f"  {node.name} {_described(view)}" for node, view in zip(asked, views, strict=True))

    async def _until(self, look: Callable[[], Awaitable[str | None]], what: str, timeout_s: float) -> None:
        """Wait until ``look`` returns None; else it returns what it saw."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            self._changed.clear()
            if (seen := await look()) is None:
                return
            left_s = deadline - loop.time()
            if left_s <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _LOOK_AGAIN_S)):
                    await self._changed.wait()
        message = f"not in {timeout_s} s: {what}; last seen:\n{seen}\n{self.logs(_LAST_LINES)}"
        raise WaitFailed(message)


def _refuse(verb: str, *_sides: Side) -> NoReturn:
    message = f"{verb}: all nodes of a ProcessCluster share one network; a HostCluster can cut it"
    raise UnsupportedFault(message)


def _refuse_by_packet(verb: str, *_arguments: object) -> NoReturn:
    message = f"{verb}: real nodes are sent all packets or none; a SimulatedCluster can {verb} single ones"
    raise UnsupportedFault(message)


def _end_of(lines: Sequence[str], last: int | None) -> Sequence[str]:
    return lines if last is None else lines[-last:]


def _described(view: list[tuple[str, str, str]] | BaseException) -> str:
    if isinstance(view, CallError):
        return f"gave no answer: {view}"
    if isinstance(view, BaseException):
        raise view
    return "sees " + ", ".join(f"{name} ({node[:6]}) {status}" for node, name, status in view)
