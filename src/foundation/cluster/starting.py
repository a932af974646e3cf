"""Start a cluster: as an async context manager, or awaited."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Any

from foundation.cluster.cluster import Cluster
from foundation.cluster.signals import TerminationWatch
from foundation.config import load_config
from foundation.core.tasks import TaskScope
from foundation.discovery import DiscoveryStrategy
from foundation.errors import FabricLostError

_TERMINATED = 128 + signal.SIGTERM


def start_cluster(  # noqa: PLR0913 - every one is optional, and each is a word of the configuration
    *,
    cluster: str | DiscoveryStrategy | Iterable[str | DiscoveryStrategy] | None = None,
    cluster_name: str | None = None,
    name: str | None = None,
    cookie: str | None = None,
    peers: Iterable[str] | None = None,
    host: str | None = None,
    port: int | None = None,
    roles: Iterable[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    **options: Any,  # noqa: ANN401 - any field of Config
) -> ClusterStart:
    """Start this node and join its cluster.

    ``async with foundation.start_cluster() as cluster:``, or ``cluster = await foundation.start_cluster()``, which is
    ended by ``await cluster.stop()``.

    Without arguments, nodes of one user on one machine find each other. What is not given comes from the environment
    (``FOUNDATION_NAME``, ``FOUNDATION_CLUSTER``, ``FOUNDATION_COOKIE`` ...), a folder of secrets, or the nearest
    ``foundation.toml``.

    Args:
        cluster: How nodes find each other: the name of a strategy (``local``, ``mdns``, ``static``), a strategy of
            your own, or several.
        cluster_name: Nodes with another one do not exist for this node; ``main`` by default.
        name: The readable name of this node; host and process id by default.
        cookie: The secret of the cluster; by default one that all nodes of this user on this machine share.
        peers: Addresses ``host:port`` to try besides.
        host: Address to listen on; ``127.0.0.1`` by default, ``0.0.0.0`` for other machines.
        port: TCP port to listen on; any free one by default.
        roles: What this node is for.
        metadata: What else the others should know about it.
        options: Any other key of the file, such as ``fallback``, ``profile``, ``membership`` as a record or a mapping,
            ``strategies`` as a mapping of options for each strategy; and ``config``, which names the file.

    SIGTERM makes the node leave in order and the program end, unless something else handles that signal.

    Raises :class:`ConfigurationError` for a value that cannot be used, :class:`ListenError` for an address that cannot
    be bound. Leaving the block raises :class:`FabricLostError` if the fabric was lost.
    """
    given: dict[str, Any] = {
        "cluster": cluster,
        "cluster_name": cluster_name,
        "name": name,
        "cookie": cookie,
        "peers": peers,
    }
    given |= {"host": host, "port": port, "roles": roles, "metadata": metadata}
    return ClusterStart(Cluster(load_config(given | options)))


class ClusterStart:
    """What :func:`start_cluster` returns: enter it or await it, once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._watch = TerminationWatch(self._terminate)
        self._tasks = TaskScope("start_cluster")
        self._user: asyncio.Task[Any] | None = None
        self._terminated = False

    def __await__(self) -> Generator[Any, None, Cluster]:
        return self._start().__await__()

    async def __aenter__(self) -> Cluster:
        self._user = asyncio.current_task()
        cluster = await self._start()
        self._tasks.start(self._end_block_when_lost(), "watch the fabric")
        return cluster

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tasks.close()
        self._watch.remove()
        try:
            await self._cluster.stop()
        except FabricLostError:
            if self._user is not None and isinstance(error, asyncio.CancelledError):
                self._user.uncancel()
            raise
        if self._terminated:
            raise SystemExit(_TERMINATED)

    async def _start(self) -> Cluster:
        self._watch.install()
        try:
            await self._cluster.start()
        except BaseException:
            self._watch.remove()
            raise
        return self._cluster

    async def _end_block_when_lost(self) -> None:
        try:
            await self._cluster.until_lost()
        except FabricLostError:
            if self._user is not None:
                self._user.cancel()

    def _terminate(self) -> None:
        self._terminated = True
        if self._user is not None:
            self._user.cancel()
        else:
            self._tasks.start(self._leave_and_end(), "leave")

    async def _leave_and_end(self) -> None:
        self._watch.remove()
        try:
            await self._cluster.stop()
        finally:
            signal.raise_signal(signal.SIGTERM)
