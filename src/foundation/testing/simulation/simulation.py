"""A whole simulated run: hosts, their network, and the story that happens to them."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from foundation.testing.errors import SimulationError
from foundation.testing.simulation.host import SimulatedHost
from foundation.testing.simulation.links import NetworkOptions
from foundation.testing.simulation.network import SimulatedNetwork
from foundation.testing.simulation.scheduler import Order, Scheduler
from foundation.testing.simulation.transcript import Transcript

T = TypeVar("T")

_DAY_S = 86_400.0
_LAB_ADDRESS = "10.255.255.254"
_HOSTS_PER_NET = 254


class Simulation:
    """Many hosts in one program, with one virtual time, and all chance from one seed.

    The same seed gives the same run, if Python is of the same minor version and was started with ``PYTHONHASHSEED=0``:
    sets of texts are walked in the order of their hashes. A run belongs to the thread that makes it, and is made once.
    """

    def __init__(
        self,
        seed: int,
        *,
        order: Order = "seed",
        network: NetworkOptions | None = None,
    ) -> None:
        """``order`` says whose turn it is when several hosts could go on: drawn from the seed, or in turn."""
        self.seed = seed
        self.transcript = Transcript(_header(seed, order))
        self._scheduler = Scheduler(seed, order)
        self.network = SimulatedNetwork(self._scheduler, self.transcript, network or NetworkOptions())
        self._hosts: dict[str, SimulatedHost] = {}
        self._lab = self._add("lab", _LAB_ADDRESS)
        self._was_run = False

    @property
    def now(self) -> float:
        """Seconds of virtual time since the run began."""
        return self._scheduler.elapsed_s

    @property
    def turns(self) -> int:
        """How often some host had its turn."""
        return self._scheduler.steps

    def host(self, name: str, address: str | None = None, *, skew_s: float = 0.0) -> SimulatedHost:
        """Add a host, or return the one of that name; without an address it gets the next of 10.0.0.1, 10.0.0.2, ...

        ``skew_s`` is by how many seconds its wall clock is ahead of the true time.
        """
        if (known := self._hosts.get(name)) is not None:
            return known
        host = self._add(name, address or self._free_address())
        host.skew_s = skew_s
        return host

    def note(self, text: str) -> None:
        """Write a line into the transcript, in the name of the host whose turn it is."""
        loop = asyncio._get_running_loop()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self.transcript.note(self.now, getattr(loop, "name", "-"), text)

    def run(
        self,
        story: Callable[..., Coroutine[Any, Any, T]],
        *args: object,
        limit_s: float = _DAY_S,
        limit_turns: int | None = None,
    ) -> T:
        """Run the story in a loop of its own until it ends, and return or raise what it does; then end everything.

        A story says what the hosts do and what happens to them: ``await host.run(...)``, ``network.partition(...)``.
        Once it has ended, all hosts are switched off as they are. When a task at a host failed and nobody awaited it,
        that is raised. Raises :class:`StuckError` when nothing can happen any more and when ``limit_s`` seconds of
        virtual time or ``limit_turns`` turns were not enough, with what every host waits for.
        """
        if self._was_run:
            message = "a simulation is run once; make another one, of the same seed if you like"
            raise SimulationError(message)
        self._was_run = True
        told = self._lab.run(_tell, story, args)
        told.was_awaited = True
        was_collecting = gc.isenabled()
        gc.disable()  # until all is cleared away, or the end would be collected twice
        try:
            self._scheduler.run_until(told.done, limit_s=limit_s, limit_steps=limit_turns)
            failures = [failure for host in self._hosts.values() for failure in host.failures()]
            outcome = told.result()
            if failures:
                task, error = failures[0]
                message = f"{task.name} failed, and nobody awaited it: {type(error).__name__}: {error}"
                raise SimulationError(message) from error
        finally:
            self.transcript.seal()
            with _unheard():
                for host in self._hosts.values():
                    host.bury()
                gc.collect()
                if was_collecting:
                    gc.enable()
        return outcome

    def _add(self, name: str, address: str) -> SimulatedHost:
        host = SimulatedHost(self._scheduler, self.network, self.transcript, name, address)
        self._hosts[name] = host
        return host

    def _free_address(self) -> str:
        taken = {host.address for host in self._hosts.values()}
        numbers = range(len(self._hosts) - 1, len(self._hosts) + len(taken) + 1)
        addresses = (f"10.0.{number // _HOSTS_PER_NET}.{number % _HOSTS_PER_NET + 1}" for number in numbers)
        return next(address for address in addresses if address not in taken)


@contextmanager
def _unheard() -> Generator[None]:
    """Say nothing of coroutines that await while they are closed: what they wait for is gone with their hosts."""
    hook, level = sys.unraisablehook, logging.root.manager.disable
    sys.unraisablehook = lambda _: None
    logging.disable()  # what they take for a failure of theirs is none
    try:
        yield
    finally:
        sys.unraisablehook = hook
        logging.disable(level)


async def _tell(story: Callable[..., Coroutine[Any, Any, T]], args: tuple[object, ...]) -> T:
    """Run the story and end what it left behind, as asyncio.run() does."""
    try:
        return await story(*args)
    finally:
        loop = asyncio.get_running_loop()
        left = sorted(asyncio.all_tasks(loop) - {asyncio.current_task()}, key=hash)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await loop.shutdown_asyncgens()


def _header(seed: int, order: Order) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    hashing = "hashes of texts differ from start to start: set PYTHONHASHSEED=0 to replay"
    return f"seed {seed}, order {order!r}, Python {version}, " + (
        hashing if sys.flags.hash_randomization else "PYTHONHASHSEED=0"
    )
