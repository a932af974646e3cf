"""Raw Zenoh: one put per call, echoed by a subscriber in Zenoh's own thread, without processes, types or deadlines."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from typing import Any

from benchmarks.calls.command_line import Ready, main
from benchmarks.calls.measuring import Plan, measure

# The same runtime that Foundation gives to Zenoh; read when the first session opens.
os.environ.setdefault("ZENOH_RUNTIME", "(rx: (worker_threads: 1), tx: (worker_threads: 1), app: (worker_threads: 1))")

import zenoh

_NUMBER = 8
_LINK_POLL_S = 0.01


def session(**endpoints: str) -> zenoh.Session:
    """Open a session that listens or connects at one endpoint and looks for nobody else."""
    configuration = zenoh.Config()
    configuration.insert_json5("mode", '"peer"')
    configuration.insert_json5("scouting/multicast/enabled", "false")
    configuration.insert_json5("listen/endpoints", "[]")
    for kind, endpoint in endpoints.items():
        configuration.insert_json5(f"{kind}/endpoints", json.dumps([endpoint]))
    return zenoh.open(configuration)


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ON_THE_LOOP = "BENCHMARK_ON_THE_LOOP"
"""Environment variable: when set, the server answers from its event loop."""


class Caller:
    """Numbers the calls, and brings the answers from Zenoh's threads to the loop, with one wake-up per burst."""

    def __init__(self, opened: zenoh.Session) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._arrived: deque[zenoh.Sample] = deque()
        self._awake = False
        self._subscriber = opened.declare_subscriber("answers", self._on_sample)
        self._publisher = opened.declare_publisher("calls", congestion_control=zenoh.CongestionControl.BLOCK)

    def echo(self, payload: bytes) -> asyncio.Future[bytes]:
        """Call; the number takes the place of the first bytes, so that the message has the size of the payload."""
        self._last = number = self._last + 1
        self._pending[number] = answer = self._loop.create_future()
        self._publisher.put(number.to_bytes(_NUMBER, "big") + payload[_NUMBER:])
        return answer

    def _on_sample(self, sample: zenoh.Sample) -> None:
        self._arrived.append(sample)
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._awake = False
        while self._arrived:
            frame = self._arrived.popleft().payload.to_bytes()
            self._pending.pop(int.from_bytes(frame[:_NUMBER], "big")).set_result(b"x" * _NUMBER + frame[_NUMBER:])


class Relay:
    """Answers from the event loop, where a handler would run, and not from Zenoh's thread."""

    def __init__(self, publisher: zenoh.Publisher) -> None:
        self._loop = asyncio.get_running_loop()
        self._publisher = publisher
        self._arrived: deque[zenoh.ZBytes] = deque()
        self._awake = False

    def answer(self, payload: zenoh.ZBytes) -> None:
        """Take a call; runs in Zenoh's thread."""
        self._arrived.append(payload)
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._awake = False
        while self._arrived:
            self._publisher.put(self._arrived.popleft())


async def serve(_plan: Plan, ready: Ready) -> None:
    """Echo every sample."""
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    with session(listen=endpoint) as opened:
        publisher = opened.declare_publisher("answers", congestion_control=zenoh.CongestionControl.BLOCK)
        answer = publisher.put if not os.environ.get(ON_THE_LOOP) else Relay(publisher).answer
        subscriber = opened.declare_subscriber("calls", lambda sample: answer(sample.payload))
        await ready(endpoint)
        subscriber.undeclare()  # type: ignore[no-untyped-call]


async def call(plan: Plan, address: str) -> dict[str, Any]:
    """Call through one publisher and one subscriber."""
    with session(connect=address) as opened:
        caller = Caller(opened)
        await until_heard(caller, plan.payload)
        return await measure([caller] * plan.targets, plan)


async def until_heard(caller: Caller, payload: bytes) -> None:
    """Call until there is an answer: what is put before the declarations have crossed is lost."""
    heard: set[asyncio.Future[bytes]] = set()
    while not any(answer.done() for answer in heard):
        heard.add(caller.echo(payload))
        await asyncio.sleep(_LINK_POLL_S)
    await asyncio.sleep(10 * _LINK_POLL_S)  # until the late answers of the others are in


if __name__ == "__main__":
    main(serve, call, "eclipse-zenoh")
