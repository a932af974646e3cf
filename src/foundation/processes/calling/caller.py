"""The half of a host that calls: references to processes anywhere, and what is sent through them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Raw

from foundation.core.arrays import ARRAYS
from foundation.core.channels import Channel
from foundation.core.clock import Clock
from foundation.core.codec import Codec
from foundation.core.identity import NodeId, ProcessId
from foundation.core.registered import REGISTERED
from foundation.processes.calling.calls import Calls
from foundation.processes.calling.reference import Address, Reference, reference_class
from foundation.processes.calling.reference_codec import reference_extension
from foundation.processes.catalog import wire_name_of
from foundation.processes.interface.binding import Binding
from foundation.processes.messages import Cast, Message
from foundation.processes.names import OwnNames
from foundation.processes.options import ProcessOptions
from foundation.processes.ports import Registrar, Wire
from foundation.processes.process import Process

T = TypeVar("T")


class Caller:
    """Makes references, and is the dialer behind them; see :class:`foundation.processes.calling.dialer.Dialer`."""

    def __init__(self, wire: Wire, names: Registrar | None, options: ProcessOptions, clock: Clock) -> None:
        self.options = options
        self.codec = Codec([reference_extension(self._make_reference), ARRAYS, REGISTERED])
        self.calls = Calls(wire, self.codec, clock, options.stream_credit, options.most_waiters)
        self.names: Registrar = names or OwnNames(wire.node_id)
        """Who has which name; the cluster puts its registry here."""
        self._wire = wire
        self._clock = clock
        self._bindings: dict[type, Binding] = {}
        self._reference_classes: dict[type, type[Reference]] = {}
        self._posted = 0

    @property
    def node_id(self) -> NodeId:
        """The node whose references these are."""
        return self._wire.node_id

    def reference(self, cls: type[T], process_id: ProcessId) -> T:
        """Return a reference to a process, as a ``cls``."""
        return self._make_reference(cls, Address(process_id, None, wire_name_of(cls)))  # type: ignore[return-value]

    def ref(self, cls: Callable[..., T], name: str) -> T:
        """Return a reference by name: it is looked up when it is called, and again when the process has moved."""
        # No type[T]: type checkers refuse a Protocol there.
        wanted: Any = cls
        wire_name = wire_name_of(wanted) if issubclass(wanted, Process) else ""
        return self._make_reference(wanted, Address(None, name, wire_name))  # type: ignore[return-value]

    async def post(
        self,
        target: ProcessId,
        frame: Cast | Message,
        channel: Channel = Channel.EVENTS,
        timeout_s: float | None = None,
    ) -> None:
        """Send a frame that nobody answers; raises NotDelivered when the node is not a member.

        Waits while its way or its mailbox is full, and raises Overloaded when that takes longer than ``timeout_s``.
        """
        if self.calls.holds.held or not self._wire.room(target.node, channel):
            deadline = None if timeout_s is None else self._clock.now() + timeout_s
            await self.calls.wait_to_send(target, channel, deadline)
        self._wire.send(target.node, self.codec.encode(frame), channel)
        self._posted += 1
        if self._posted % self.options.turn_messages == 0:
            await asyncio.sleep(0)  # a loop of casts would fill the mailbox before its process ever ran

    def post_at_once(self, target: ProcessId, frame: Message, channel: Channel = Channel.EVENTS) -> bool:
        """Send a frame that nobody answers, unless that would mean to wait; raises NotDelivered."""
        if target in self.calls.holds.held or not self._wire.room(target.node, channel):
            return False
        self._wire.send(target.node, self.codec.encode(frame), channel)
        return True

    def encode_plain(self, message: object) -> tuple[str, Raw]:
        """Encode a message for processes of any class; raises ArgumentError for what cannot travel."""
        kind, body = self.binding(Process).plain.encode(message)
        return kind, Raw(body)

    def known(self, name: str) -> ProcessId | None:
        """Return the process that has the name, as far as this node knows."""
        return self.names.known(name)

    async def find(self, name: str) -> ProcessId:
        """Return the process that has the name, asking who may know more; raises :class:`NoSuchNameError`."""
        return self.names.known(name) or await self.names.find(name)

    def is_followed(self, name: str) -> bool:
        """Tell whether who calls that name waits for it, and follows it to another process."""
        return self.names.is_followed(name)

    async def follow(self, name: str, last: ProcessId) -> ProcessId:
        """Return the process that has the name, once it is another one; raises :class:`NoSuchNameError`."""
        return await self.names.follow(name, last)

    def binding(self, cls: type) -> Binding:
        """Return a class as this host calls and serves it."""
        binding = self._bindings.get(cls)
        if binding is None:
            binding = self._bindings[cls] = Binding(cls, self.codec)
        return binding

    def _make_reference(self, cls: type, address: Address) -> Reference:
        made = self._reference_classes.get(cls)
        if made is None:
            made = self._reference_classes[cls] = reference_class(self.binding(cls), self)
        return made(address)
