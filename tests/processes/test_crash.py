"""A handler that raises ProcessCrash ends its process, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from foundation.errors import NotDelivered, ProcessCrash, RemoteError
from foundation.processes import EndReason, Monitor, Process, cast, concurrent, send
from foundation.processes.host import Host
from tests.waiting import turns


class Fragile(Process):
    """Crashes in every kind of handler."""

    async def crash(self) -> None:
        message = "no way on"
        raise ProcessCrash(message)

    @concurrent
    async def crash_aside(self) -> None:
        await self.crash()

    async def items(self) -> AsyncIterator[int]:
        yield 1
        await self.crash()

    async def lean_on(self, other: Fragile) -> None:
        await other.crash()

    async def alive(self) -> bool:
        return True

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def handle_message(self, message: str) -> None:
        del message
        await self.crash()


async def read(fragile: Fragile) -> None:
    assert [item async for item in fragile.items()] == [1]


def watch(host: Host, fragile: Fragile) -> Monitor:
    return Monitor(lambda tell: host.monitors.watch(fragile.process_id, tell))


async def has_crashed(fragile: Fragile, monitor: Monitor) -> None:
    ended = await monitor
    assert (ended.reason, ended.text) == (EndReason.CRASHED, "no way on")
    assert ended.error_type == "foundation.errors:ProcessCrash"
    with pytest.raises(NotDelivered):
        await fragile.alive()


@pytest.mark.parametrize("name", ["crash", "crash_aside", "items"])
async def test_a_crash_ends_the_process(here: Host, target: Host, name: str) -> None:
    """Whatever the handler handles: the caller gets a RemoteError, the monitors hear of the crash and its text."""
    fragile = await here.start_on(target.node_id, Fragile)
    monitor = watch(here, fragile)
    with pytest.raises(RemoteError, match="ProcessCrash: no way on"):
        await (read(fragile) if name == "items" else getattr(fragile, name)())
    await has_crashed(fragile, monitor)


async def test_a_message_can_crash(here: Host, target: Host) -> None:
    """What nobody waits for ends the process all the same."""
    for tell in (lambda fragile: cast(fragile.crash), lambda fragile: send(fragile, "anything")):
        fragile = await here.start_on(target.node_id, Fragile)
        monitor = watch(here, fragile)
        await tell(fragile)
        await has_crashed(fragile, monitor)


async def test_a_crash_aside_breaks_off_what_is_handled(here: Host, target: Host) -> None:
    """What runs beside the mailbox takes along the message that is handled at the moment."""
    fragile = await here.start_on(target.node_id, Fragile)
    monitor = watch(here, fragile)
    busy = asyncio.ensure_future(fragile.wait())
    await turns()
    with pytest.raises(RemoteError, match="ProcessCrash: no way on"):
        await fragile.crash_aside()
    with pytest.raises(RemoteError, match="was stopped while"):
        await busy
    await has_crashed(fragile, monitor)


async def test_a_crash_does_not_end_the_caller(here: Host, target: Host) -> None:
    """A process that called the one that crashed lives on, though it did not handle the error."""
    leaning = await here.start(Fragile)
    with pytest.raises(RemoteError, match="no way on"):
        await leaning.lean_on(await here.start_on(target.node_id, Fragile))
    assert await leaning.alive()
