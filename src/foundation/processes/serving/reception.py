"""Frames from the wire: decoded, and handed to who they are for. Whatever they are, the node lives on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from foundation.core.channels import Channel
from foundation.core.clock import Clock
from foundation.core.identity import NodeId
from foundation.errors import DeadlockError, FoundationError, NoSuchProcessError, NotDelivered
from foundation.processes.calling.calls import Calls
from foundation.processes.interface.binding import BoundMethod
from foundation.processes.messages import (
    NOTHING,
    Call,
    Cancel,
    Cast,
    End,
    Fault,
    Forward,
    Frame,
    Item,
    Message,
    More,
    Open,
    Pressure,
    Reply,
    Watch,
)
from foundation.processes.options import ProcessOptions
from foundation.processes.serving.credit import Credit
from foundation.processes.serving.requests import Request, Requests
from foundation.processes.serving.running import Running

logger = logging.getLogger(__name__)

_LONGEST_MS = 2**40
_batch = msgspec.msgpack.Decoder(list[Frame]).decode
_raw_frames = msgspec.msgpack.Decoder(list[Raw]).decode
_frame = msgspec.msgpack.Decoder(Frame).decode


class Reception:
    """Take what other nodes send."""

    def __init__(
        self,
        running: Mapping[int, Running],
        calls: Calls,
        requests: Requests,
        clock: Clock,
        options: ProcessOptions,
    ) -> None:
        self.dropped_frames = 0
        self.dropped_casts = 0
        self.forwards: dict[int, Forward] = {}
        """What is to become of casts for processes that go on at other nodes."""
        self._running = running
        self._requests = requests
        self._clock = clock
        self._options = options
        self._warned: dict[NodeId, float] = {}
        self._closed = False
        self._channel = Channel.EVENTS
        """The channel of the frames that are acted on now."""
        self._act: dict[type, Callable[[NodeId, Any], None]] = {
            Call: self._on_call,
            Open: self._on_call,
            Cast: self._on_cast,
            Message: self._on_message,
            Cancel: self._on_cancel,
            More: self._on_more,
            Reply: calls.on_reply,
            Fault: calls.on_fault,
            Item: calls.on_item,
            End: calls.on_end,
            Pressure: calls.on_pressure,
            Watch: self._on_watch,
        }

    def receive(self, source: NodeId, batch: bytes | memoryview, channel: Channel) -> None:
        """Act on a MessagePack array of frames of one channel."""
        if self._closed:
            return
        try:
            frames = _batch(batch)
        except Exception as error:  # noqa: BLE001 - bytes from outside
            frames = self._salvage(source, batch, error)
        self._channel = channel
        act = self._act
        for frame in frames:
            try:
                act[type(frame)](source, frame)
            except Exception:
                self.dropped_frames += 1
                logger.exception("a frame from %s could not be handled", source[:8])

    def node_down(self, node: NodeId) -> None:
        """Forget what was noted about a node that is gone."""
        self._warned.pop(node, None)

    def close(self) -> None:
        """Ignore everything from now on."""
        self._closed = True

    def _salvage(self, source: NodeId, batch: bytes | memoryview, error: Exception) -> list[Frame]:
        """Return the good frames of a batch in which one is bad."""
        try:
            raws = _raw_frames(batch)
        except Exception:  # noqa: BLE001
            self._garbage(source, error)
            return []
        frames: list[Frame] = []
        for raw in raws:
            try:
                frames.append(_frame(raw))
            except Exception as reason:  # noqa: BLE001
                self._garbage(source, reason)
        return frames

    def _garbage(self, source: NodeId, error: Exception) -> None:
        self.dropped_frames += 1
        now = self._clock.now()
        if now - self._warned.get(source, -self._options.garbage_log_interval_s) < self._options.garbage_log_interval_s:
            return
        self._warned[source] = now
        logger.warning("node %s sends garbage, which is dropped: %s", source[:8], error)

    def _on_call(self, source: NodeId, frame: Call) -> None:
        running = self._running.get(frame.serial)
        if running is None:
            gone = NoSuchProcessError(f"there is no process {frame.serial} on this node, or no longer")
            return self._requests.refuse_unknown(source, frame.call, gone, self._channel)
        method = running.binding.methods.get(frame.method)
        if method is None or method.stream is not (type(frame) is Open):
            kind = "stream" if type(frame) is Open else "method"
            text = f"{running.binding.cls.__name__} has no {kind} {frame.method!r} on the node of {running.label}"
            return self._requests.refuse_unknown(source, frame.call, NotDelivered(text), self._channel)
        if frame.chain and not running.takes_aside(method) and (circle := _circle(frame, running)):
            return self._requests.refuse_unknown(source, frame.call, DeadlockError(circle), self._channel)
        request = self._request(source, frame, method)
        if frame.call <= 0 or not self._requests.add(request):
            return self._garbage(source, ValueError(f"the number {frame.call} is in use"))
        refused = running.accept(request)
        if refused is not None:
            self._requests.refuse(request, refused)
        return None

    def _request(self, source: NodeId, frame: Call, method: BoundMethod) -> Request:
        deadline = None
        if frame.remaining_ms is not None:
            deadline = self._clock.now() + min(frame.remaining_ms, _LONGEST_MS) / 1000
        request = Request(source, frame.call, method, frame.arguments, frame.keywords, "", deadline, frame.chain)
        request.channel = self._channel
        if type(frame) is Open and frame.credit > 0:
            request.credit = Credit(frame.credit)
        return request

    def _on_watch(self, source: NodeId, frame: Watch) -> None:
        running = self._running.get(frame.serial)
        if running is None:
            gone = NoSuchProcessError(f"there is no process {frame.serial} on this node, or no longer")
            return self._requests.refuse_unknown(source, frame.call, gone, self._channel)
        request = Request(source, frame.call, None, NOTHING, channel=self._channel)
        if frame.call <= 0 or not self._requests.add(request):
            return self._garbage(source, ValueError(f"the number {frame.call} is in use"))
        if not running.watch(request):
            self._requests.refuse(request, NotDelivered(f"node {source[:8]} watches {running.label} already"))
        return None

    def _on_more(self, source: NodeId, frame: More) -> None:
        self._requests.grant(source, frame.call, frame.items)

    def _on_cast(self, source: NodeId, frame: Cast) -> None:
        if (forward := self.forwards.get(frame.serial)) is not None:
            return forward(frame)
        running = self._running.get(frame.serial)
        method = running.binding.methods.get(frame.method) if running else None
        if running is None or method is None or method.stream:
            self.dropped_casts += 1
            return None
        return self._offer(running, Request(source, 0, method, frame.arguments, frame.keywords))

    def _on_message(self, source: NodeId, frame: Message) -> None:
        if (forward := self.forwards.get(frame.serial)) is not None:
            return forward(frame)
        running = self._running.get(frame.serial)
        if running is None:
            self.dropped_casts += 1
            return None
        return self._offer(running, Request(source, 0, None, frame.body, None, frame.kind))

    def _offer(self, running: Running, request: Request) -> None:
        refused: FoundationError | None = running.accept(request)
        if refused is not None:
            self.dropped_casts += 1
            logger.debug("a message was dropped: %s", refused)

    def _on_cancel(self, source: NodeId, frame: Cancel) -> None:
        self._requests.cancel(source, frame.call)


def _circle(call: Call, running: Running) -> str:
    """Return the chain that leads back to a process which waits for this very call, or nothing."""
    at = next((at for at, hop in enumerate(call.chain) if hop.process_id == running.process_id), None)
    if at is None:
        return ""
    labels = [hop.label for hop in call.chain[at:]]
    return f"each waits for the next: {' -> '.join([*labels, running.label])}"
