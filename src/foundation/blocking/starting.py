"""Start a cluster from a thread, and see to it that it ends with the program."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import foundation.cluster as asynchronous
from foundation.blocking.cluster import Cluster
from foundation.blocking.loop_thread import enter_thread, leave_thread
from foundation.blocking.running_loop import refuse_running_loop
from foundation.blocking.session import Session
from foundation.config import Config
from foundation.discovery import DiscoveryStrategy
from foundation.errors import NotRunningError

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 10.0
"""Seconds that a program which ends without `stop()` may take to leave its clusters."""

_TERMINATED = 128 + signal.SIGTERM
_running: list[Cluster] = []


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
    allow_running_loop: bool = False,
    **options: Any,  # noqa: ANN401 - any field of Config
) -> Cluster:
    """Start this node and join its cluster, on an event loop in a thread of its own; return when it takes part.

    ``with foundation.blocking.start_cluster() as cluster:``, or ``cluster = foundation.blocking.start_cluster()``,
    which is ended by ``cluster.stop()`` or, in order and within some seconds, by the end of the main thread.

    The arguments and errors are those of :func:`foundation.start_cluster`, but for ``allow_running_loop``: calls may
    then hold up an event loop that is running in the calling thread, which otherwise is an error except in the cells
    of IPython and Jupyter. SIGTERM ends the program with ``SystemExit``, so that ``with`` blocks are left, unless
    something else handles that signal.
    """
    given: dict[str, Any] = {
        "cluster": cluster,
        "cluster_name": cluster_name,
        "name": name,
        "cookie": cookie,
        "peers": peers,
    }
    given |= {"host": host, "port": port, "roles": roles, "metadata": metadata}
    refuse_running_loop(None, allowed=allow_running_loop)
    starting = asynchronous.start_cluster(**(given | options))
    session = Session(enter_thread(), allow_running_loop=allow_running_loop)
    started = Cluster(session.run(_start(starting, session)), session)
    _running.append(started)
    _end_on_sigterm(started.config)
    return started


async def _start(starting: Any, session: Session) -> asynchronous.Cluster:  # noqa: ANN401 - ClusterStart has no public name
    try:
        started: asynchronous.Cluster = await starting
    except BaseException:
        leave_thread(session.thread)
        raise
    return started


def current_cluster() -> Cluster:
    """Return the one cluster that was started here and runs: what the module-level calls act on.

    Raises :class:`NotRunningError` when there is none, or more than one: then call the method of the one that is meant.
    """
    _running[:] = [cluster for cluster in _running if not cluster.stopped]
    if len(_running) == 1:
        return _running[0]
    message = (
        f"{len(_running)} clusters run in this program; call the method of the one that is meant"
        if _running
        else "no cluster runs in this program; start one: with foundation.blocking.start_cluster() as cluster"
    )
    raise NotRunningError(message)


def cluster_of(reference: object) -> Cluster:
    """Return the running cluster that a reference belongs to, or raise :class:`NotRunningError`."""
    for cluster in _running:
        if cluster.owns(reference):
            return cluster
    message = f"{reference!r} belongs to no cluster that foundation.blocking runs in this program"
    raise NotRunningError(message)


def _stop_all() -> None:
    """Leave all clusters when the program ends; never takes much longer than the time-out."""
    deadline = time.monotonic() + EXIT_TIMEOUT_S
    for cluster in [cluster for cluster in _running if not cluster.stopped]:
        try:
            cluster.stop_within(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            logger.warning("%s did not leave its cluster within %.0f s; the program ends", cluster.name, EXIT_TIMEOUT_S)
        except Exception:
            logger.exception("%s could not leave its cluster in order", cluster.name)


def _end_on_sigterm(config: Config) -> None:
    """Turn SIGTERM into SystemExit, if this is the main thread and nobody else handles the signal."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if config.handle_signals and in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    if any(not cluster.stopped for cluster in _running):
        raise SystemExit(_TERMINATED)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to leave: as if it had never been handled
    signal.raise_signal(signal.SIGTERM)


def _at_exit(leave: Callable[[], None]) -> None:
    # Not atexit: by then executors take no more work, and closing a session needs one. concurrent.futures registers
    # itself in the same way; what is registered last runs first.
    importlib.import_module("concurrent.futures.thread")
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(leave)


_at_exit(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)
