"""Those who do not belong, at the door of a node: silent ones, and dialers that try again and again."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.errors import FabricError
from foundation.fabric import NodeAddress
from foundation.fabric.door import knock
from foundation.fabric.handshake import NONCE_BYTES, DialerHandshake, Identity, Proof, encode
from tests.waiting import turns_until

_PAUSE_S = 0.005
_AT_ONCE = 50
"""Connections that are made at the same time: fewer than a listening socket lets wait."""


@asynccontextmanager
async def silent(address: NodeAddress, count: int) -> AsyncGenerator[None]:
    """Hold ``count`` connections on which nothing is said."""
    async with AsyncExitStack() as stack:
        for _ in range(0, count, _AT_ONCE):
            for _, writer in await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(_AT_ONCE))):
                stack.callback(writer.close)
        yield


@asynccontextmanager
async def dialing(address: NodeAddress, good_handshake: bytes) -> AsyncGenerator[Counter[str]]:
    """Dial with a wrong cookie, garbage, a handshake of somebody else, and a part of it; count the tries."""
    tries: Counter[str] = Counter()
    me = Identity("main", new_node_id(), "mallory", "1.0", ())
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "wrong cookie": lambda: knock(address, me, Secret("a guess"), 10),
        "garbage": lambda: said(address, b"\x00\x09garbage!?"),
        "replayed": lambda: said(address, good_handshake),
        "truncated": lambda: said(address, good_handshake[:30], hang_up=True),
    }
    over = asyncio.Event()

    async def dial(kind: str) -> None:
        loop = asyncio.get_running_loop()
        while not over.is_set():
            with suppress(FabricError, ConnectionError):
                await ways[kind]()
            tries[kind] += 1
            await turns_until(loop.time() + _PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for kind in ways:
            group.create_task(dial(kind))
        try:
            yield tries
        finally:
            over.set()


async def said(address: NodeAddress, data: bytes, *, hang_up: bool = False) -> bytes:
    """Say something at a door; return all that is answered, unless we hang up at once."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        return b"" if hang_up else await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def recorded_handshake(address: NodeAddress, cookie: Secret) -> bytes:
    """Prove oneself at a door as a node of the cluster does, and return what was said there."""
    dialer = DialerHandshake(
        Identity("main", new_node_id(), "replayed", "1.0", ()), cookie, secrets.token_bytes(NONCE_BYTES)
    )
    reader, writer = await asyncio.open_connection(*address)
    hello = encode(dialer.hello())
    writer.write(hello)
    proof = dialer.receive(await _message(reader))
    assert isinstance(proof, Proof)
    writer.write(encode(proof))
    assert isinstance(dialer.receive(await _message(reader)), Identity)
    writer.close()
    return hello + encode(proof)


async def _message(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(2), "big")
    return await reader.readexactly(size)
