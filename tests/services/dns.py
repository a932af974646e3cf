"""A real name server (Knot DNS) whose records a test changes, and a front that fails in every way a server can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any, Literal

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.update
import pytest

LOOPBACK = "127.0.0.1"
ZONE = "test."
CONFIG = """
server:
    rundir: "{folder}"
    listen: {host}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{folder}"
acl:
  - id: tests
    address: {host}
    action: update
zone:
  - domain: {zone}
    storage: "{folder}"
    file: zone
    acl: tests
log:
  - target: stderr
    any: error
"""
BARE_ZONE = "@ 0 IN SOA ns hostmaster 1 3600 600 86400 0\n@ 0 IN NS ns\nns 0 IN A 127.0.0.1\n"


def knotd() -> str:
    """Return the path of the program, or skip the test, naming what to install."""
    found = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("the name server Knot is not installed: sudo apt-get install knot")
    return found


class NameServer:
    """Knot DNS, the authority for the zone ``test.``, at a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._changed: set[tuple[str, str]] = set()

    async def start(self) -> None:
        (self._folder / "zone").write_text(BARE_ZONE)
        config = self._folder / "knot.conf"
        config.write_text(CONFIG.format(folder=self._folder, host=LOOPBACK, port=self.port, zone=ZONE))
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                knotd(), "--config", config, stdout=asyncio.subprocess.DEVNULL, stderr=log
            )
        async with asyncio.timeout(10):
            while not await self._answers():
                assert self._process.returncode is None, (self._folder / "log").read_text()

    async def _answers(self) -> bool:
        question = dns.message.make_query(f"ns.{ZONE}", "A")
        try:
            answer = await dns.asyncquery.udp(question, LOOPBACK, timeout=0.1, port=self.port)
        except (OSError, dns.exception.DNSException):
            return False
        return answer.rcode() == dns.rcode.NOERROR

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def set(self, name: str, kind: str, *records: str) -> None:
        """Let these be all the records of that name and type; takes effect at once."""
        update = dns.update.UpdateMessage(ZONE)
        update.delete(name, kind)
        for record in records:
            update.add(name, 0, kind, record)
        answer = await dns.asyncquery.tcp(update, LOOPBACK, timeout=5.0, port=self.port)
        assert answer.rcode() == dns.rcode.NOERROR, answer

    async def serve(self, name: str, addresses: Iterable[str]) -> None:
        """List nodes at ``host:port`` as SRV records of the name, each with a host of its own."""
        services = []
        for number, address in enumerate(addresses):
            host, _, port = address.rpartition(":")
            await self.set(f"n{number}.{ZONE}", "A", host)
            services.append(f"0 0 {port} n{number}.{ZONE}")
        await self.set(name, "SRV", *services)


@contextlib.asynccontextmanager
async def name_server(folder: Path) -> AsyncGenerator[NameServer]:
    """Run the server."""
    server = NameServer(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


Mode = Literal["pass", "servfail", "hang", "garbage", "cut short"]


class Front(asyncio.DatagramProtocol):
    """Passes questions over UDP to the server behind it, and its answers back, or misbehaves.

    What it does wrong is what a server can do that a test cannot make Knot do. It takes no TCP connections, so an
    answer that is cut short stays without its rest.
    """

    def __init__(self, behind: int = 0) -> None:
        self._behind = behind
        self.mode: Mode = "pass"
        self.asked = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(LOOPBACK, self.port))
        self.port = self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        for task in self._passing:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        match self.mode:
            case "pass":
                task = asyncio.ensure_future(self._pass(data, addr))
                self._passing.add(task)
                task.add_done_callback(self._passing.discard)
            case "garbage":
                self._send(os.urandom(60), addr)
                self._send(data[:2] + b"\x81\x80" + b"\xff" * 40, addr)
                self._send(data[:2], addr)
            case "hang":
                pass
            case _:
                answer = dns.message.make_response(dns.message.from_wire(data))
                if self.mode == "servfail":
                    answer.set_rcode(dns.rcode.SERVFAIL)
                else:
                    answer.flags |= dns.flags.TC
                self._send(answer.to_wire(), addr)

    async def _pass(self, data: bytes, addr: Any) -> None:
        question = dns.message.from_wire(data)
        with contextlib.suppress(dns.exception.Timeout):
            answer = await dns.asyncquery.udp(question, LOOPBACK, timeout=5.0, port=self._behind)
            self._send(answer.to_wire(), addr)

    def _send(self, data: bytes, addr: Any) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)


@contextlib.asynccontextmanager
async def front(behind: int = 0) -> AsyncGenerator[Front]:
    """Run a front before the server at that port."""
    made = Front(behind)
    await made.open()
    try:
        yield made
    finally:
        made.close()


def free_port() -> int:
    """Return a port that is free for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((LOOPBACK, 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind((LOOPBACK, port))
                return port
