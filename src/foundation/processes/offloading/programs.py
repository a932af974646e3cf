"""Functions that run in other Python programs, on other cores: started by this node at first use, ended with it.

Arguments and results are pickled, between this program and its own children only. The errors of a function are not:
they travel like those of any handler. A child that dies fails the calls that are under way with BrokenProcessPool;
the next call gets new children.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import Any

import msgspec

from foundation.core.codec import Codec
from foundation.processes.faults import handler_fault, rebuild
from foundation.processes.messages import Fault
from foundation.processes.offloading.threads import DaemonThreads

_END_S = 5.0
_Outcome = tuple[bool, bytes]

_fault = msgspec.msgpack.Decoder(Fault).decode


class Programs:
    """Up to ``most`` programs that wait for functions to run."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Starting a program and pickling take milliseconds, which the loop has not got.
        self._clerk = DaemonThreads(1, "offload clerk")
        self._pool: ProcessPoolExecutor | None = None
        self._under_way: set[Future[_Outcome]] = set()

    async def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Run a function that the other programs find under its module and name; cancelled, it is left to finish."""
        where = (function.__module__, function.__qualname__)
        under_way = await asyncio.wrap_future(self._clerk.submit(self._begin, where, args, kwargs))
        good, data = await asyncio.wrap_future(under_way)
        if not good:
            raise rebuild(_fault(data))
        return pickle.loads(data)  # noqa: S301 - from a child of this program

    async def close(self) -> None:
        """End the programs; what they still work on is nobody's any more and is killed."""
        ended = asyncio.wrap_future(self._clerk.submit(self._end))
        self._clerk.shutdown(wait=False)
        await asyncio.wait({ended}, timeout=_END_S)

    def _begin(self, where: tuple[str, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[_Outcome]:
        packed = pickle.dumps((args, kwargs))
        try:
            under_way = self._submit(where, packed)
        except BrokenProcessPool:  # one of them has died since
            self._pool = None
            under_way = self._submit(where, packed)
        self._under_way.add(under_way)
        under_way.add_done_callback(self._under_way.discard)
        return under_way

    def _submit(self, where: tuple[str, str], packed: bytes) -> Future[_Outcome]:
        if self._pool is None:
            # Not forked: the threads of Zenoh, and the locks that they hold, would not survive that.
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._most, mp_context=spawn, initializer=_settle)
        return self._pool.submit(_perform, *where, packed)

    def _end(self) -> None:
        if self._pool is None:
            return
        if self._under_way:
            # What Python 3.14 calls kill_workers.
            for child in list((getattr(self._pool, "_processes", None) or {}).values()):
                child.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _settle() -> None:
    """Leave Ctrl-C to the node, and end when the node does, even when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="watch the node", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _perform(module: str, qualname: str, packed: bytes) -> _Outcome:
    """Run a function in a child; whatever it returns or raises leaves the child itself unharmed."""
    try:
        function: Any = importlib.import_module(module)
        for part in qualname.split("."):
            function = getattr(function, part)
        args, kwargs = pickle.loads(packed)  # noqa: S301 - from the parent
        return True, pickle.dumps(function.__wrapped__(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - also SystemExit: the next function needs this program
        codec = Codec()
        return False, codec.encode(handler_fault(0, error, codec))
