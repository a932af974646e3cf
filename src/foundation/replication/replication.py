"""Carry the tables between the nodes: tell what is new, fetch what is missing, compare now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import msgspec
from msgspec import Raw

from foundation.core import sources
from foundation.core.channels import Channel
from foundation.core.clock import Clock
from foundation.core.identity import NodeId
from foundation.core.tasks import TaskScope
from foundation.errors import ArgumentError, NotDelivered
from foundation.replication.messages import Delta, Digest, Message, Note, Want
from foundation.replication.options import ReplicationOptions
from foundation.replication.replica import Change, Replica, encode

logger = logging.getLogger(__name__)

Watcher = Callable[[list[Change]], None]
NoteHandler = Callable[[NodeId, Raw], None]

_FEW_TABLES = 64
"""So many are compared whole when two nodes meet; of more, only each one's own: random comparisons do the rest."""


class Wire(Protocol):
    """Carries frames to other nodes, in order per node and channel."""

    @property
    def node_id(self) -> NodeId:
        """The own node."""
        ...

    def send(self, node: NodeId, frame: bytes, channel: Channel) -> None:
        """Queue one encoded frame; raises NotDelivered and Overloaded."""
        ...

    def room(self, node: NodeId, channel: Channel) -> bool:
        """Tell whether little enough waits for a node."""
        ...

    async def wait_for_room(self, node: NodeId, channel: Channel) -> None:
        """Wait until there is room; raises NotDelivered and Overloaded."""
        ...


class _Wanted(NamedTuple):
    source: NodeId
    """Who was asked."""
    at: float
    """When there was progress last."""


class Replication:
    """One node's part in the replicated state; an async context manager. Use it on its own event loop only."""

    def __init__(
        self,
        wire: Wire,
        kinds: Mapping[str, type],
        options: ReplicationOptions | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._options = options or ReplicationOptions()
        self._wire = wire
        self._clock = clock or sources.clock()
        self.replica = Replica(wire.node_id, kinds, self._options)
        self._decoder = msgspec.msgpack.Decoder(list[Message])
        self._tasks = TaskScope("replication")
        self._watchers: dict[str, list[Watcher]] = {}
        self._handlers: dict[str, NoteHandler] = {}
        self.arrived: list[Callable[[], None]] = []
        """Called when rows may have come, after who watches them was told."""
        self._present: dict[NodeId, None] = {}
        self._lost: dict[NodeId, float] = {}
        """Since when the owners of these tables are down."""
        self._behind: dict[NodeId, None] = {}
        """Present nodes that did not get everything."""
        self._wanted: dict[NodeId, _Wanted] = {}
        """Tables of which somebody was asked for more."""
        self._is_short = asyncio.Event()
        """Somebody lacks rows, here or elsewhere."""
        self._serving: dict[tuple[NodeId, NodeId], None] = {}
        self._flushing = False
        self.unreadable = 0
        """Batches from elsewhere that were garbage."""

    async def __aenter__(self) -> Self:
        self._tasks.keep_running(self._compare_now_and_then, "compare")
        self._tasks.keep_running(self._ask_again, "ask again")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tasks.close()

    # --- for those who keep rows here

    def watch(self, kind: str, watcher: Watcher) -> None:
        """Have all changes of one kind of rows told, in batches, as they happen; own ones at once."""
        self._watchers.setdefault(kind, []).append(watcher)

    def on_note(self, service: str, handler: NoteHandler) -> None:
        """Have notes to a service handled."""
        self._handlers[service] = handler

    def write(self, key: str, value: Any) -> None:  # noqa: ANN401 - of the kind's type
        """Write or, with None, delete an own row; the others are told at the end of the event loop's turn.

        Raises :class:`ArgumentError` when the row is too large.
        """
        if value is not None and len(key) + len(encode(value)) > self._options.most_row_bytes:
            message = f"{key[1:60]!r} with its metadata is more than {self._options.most_row_bytes} bytes"
            raise ArgumentError(message)
        change = self.replica.write(key, value, self._clock.now())
        self._tell([change])
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def note(self, node: NodeId, service: str, content: bytes) -> bool:
        """Send a note, behind the rows written so far; return whether it is on its way."""
        self.flush()
        return self._send(node, Note(service, Raw(content)))

    def flush(self) -> None:
        """Tell the others what was written."""
        self._flushing = False
        for delta in self.replica.news():
            frame = encode(delta)
            for node in self._present:
                if node not in self._behind:
                    self._send_frame(node, frame)

    @property
    def present(self) -> Collection[NodeId]:
        """The nodes that this one exchanges rows with."""
        return self._present.keys()

    @property
    def has_lost(self) -> bool:
        """Whether tables are kept here of nodes that are down."""
        return bool(self._lost)

    # --- who comes and goes

    def came(self, node: NodeId) -> None:
        """A node is present, for the first time or again, or has forgotten what was under way."""
        self._present[node] = None
        self._behind.pop(node, None)
        self._lost.pop(node, None)
        self._compare(node, answer_wanted=False)
        self._ask_others(node)

    def went(self, node: NodeId) -> None:
        """A node is not present: nothing reaches it until it comes again."""
        self._present.pop(node, None)
        self._behind.pop(node, None)
        self._ask_others(node)

    def lost(self, node: NodeId) -> None:
        """A node is down. All who are left get what any of them has of its table, which is kept for a while."""
        self.went(node)
        self._lost[node] = self._clock.now()
        version = self.replica.version(node)
        if version:
            digest = Digest({node: version}, is_complete=False)
            for other in self._present:
                self._send(other, digest)

    def left(self, node: NodeId) -> None:
        """A node has gone for good; so have its rows."""
        self.went(node)
        self._lost.pop(node, None)
        self._tell(self.replica.forget(node, self._clock.now()))

    def seek(self, node: NodeId, versions: dict[NodeId, int]) -> None:
        """Fetch what a node has and this one has not, as that node said."""
        self._compared(node, Digest(versions, is_complete=False, answer_wanted=False))

    # --- what comes

    def receive(self, source: NodeId, batch: bytes | memoryview, channel: Channel) -> None:
        """Act on a MessagePack array of messages; never raises, whatever the bytes are."""
        del channel
        try:
            messages = self._decoder.decode(batch)
        except msgspec.DecodeError as error:
            self.unreadable += 1
            if self.unreadable & (self.unreadable - 1) == 0:
                logger.warning("node %s sent what is not about rows (%d): %s", source[:8], self.unreadable, error)
            return
        changes: list[Change] = []
        for message in messages:
            if type(message) is Delta:
                changes += self._take(source, message)
                continue
            self._tell(changes)
            changes = []
            self._answer(source, message)
        self._tell(changes)
        for look in self.arrived:
            look()

    # --- inside

    def _answer(self, source: NodeId, message: Message) -> None:
        if type(message) is Note:
            self._handle(source, message)
        elif type(message) is Want:
            self._serve(source, message)
        elif type(message) is Digest:
            self._compared(source, message)

    def _take(self, source: NodeId, delta: Delta) -> list[Change]:
        now = self._clock.now()
        owner = delta.owner
        changes = self.replica.apply(delta, now)
        if owner not in self._present and owner not in self._lost:  # somebody else had it: kept for a while
            self._lost[owner] = now
        if owner in self._wanted:
            self._wanted[owner] = self._wanted[owner]._replace(at=now)
            if self.replica.version(owner) >= delta.goal and not self.replica.is_behind(owner):
                del self._wanted[owner]
        elif self.replica.is_behind(owner):
            self._want(source, Want(owner, self.replica.version(owner)))
        return changes

    def _want(self, node: NodeId, want: Want) -> None:
        if want.owner not in self._wanted and self._send(node, want):
            self._wanted[want.owner] = _Wanted(node, self._clock.now())
            self._is_short.set()

    def _ask_others(self, node: NodeId) -> None:
        """Ask somebody else, or anew, for what a node was asked for that will not answer that any more."""
        for owner in [owner for owner, wanted in self._wanted.items() if wanted.source == node]:
            self._ask_anybody(owner)

    def _ask_anybody(self, owner: NodeId) -> None:
        del self._wanted[owner]
        if self._present:
            source = owner if owner in self._present else sources.chance().choice(list(self._present))
            self._compare(source, answer_wanted=True)

    def _handle(self, source: NodeId, note: Note) -> None:
        handler = self._handlers.get(note.service)
        if handler is None:
            logger.debug("node %s sent a note to %r, which nobody here is", source[:8], note.service)
            return
        try:
            handler(source, note.content)
        except Exception:
            logger.exception("a note of node %s to %r could not be handled", source[:8], note.service)

    def _compare(self, node: NodeId, *, answer_wanted: bool) -> None:
        replica = self.replica
        if answer_wanted or len(replica.tables) <= _FEW_TABLES:
            digest = replica.digest(answer_wanted=answer_wanted)
        else:
            digest = Digest({replica.me: replica.own.version}, is_complete=False, answer_wanted=False)
        self._send(node, digest)

    def _compared(self, node: NodeId, digest: Digest) -> None:
        wanted, offered = self.replica.compare(digest)
        for want in wanted:
            self._want(node, want)
        if digest.answer_wanted and offered:
            versions = {offer.owner: self.replica.version(offer.owner) for offer in offered}
            self._send(node, Digest(versions, is_complete=False, answer_wanted=False))

    def _serve(self, node: NodeId, want: Want) -> None:
        """Send what is wanted: a little at once, and more in pieces, as there is room for bulk."""
        if (node, want.owner) in self._serving:
            return
        pieces = self.replica.pieces(want.owner, want.have)
        first = next(pieces, None)
        if first is None:
            return
        if first.upto == first.goal:
            self._send(node, first)
            return

        async def send_all() -> None:
            try:
                piece: Delta | None = first
                while piece is not None:
                    await self._wire.wait_for_room(node, Channel.COPIES)
                    self._wire.send(node, encode(piece), Channel.COPIES)
                    await asyncio.sleep(0)
                    piece = next(pieces, None)
            except NotDelivered as error:
                logger.debug("rows for node %s were not sent: %s", node[:8], error)
            finally:
                del self._serving[node, want.owner]

        self._serving[node, want.owner] = None
        self._tasks.start(send_all(), f"rows for {node[:8]}")

    def _send(self, node: NodeId, message: Message) -> bool:
        return self._send_frame(node, encode(message))

    def _send_frame(self, node: NodeId, frame: bytes) -> bool:
        """Send without waiting; who has no room for it gets nothing more until it was compared with."""
        try:
            if self._wire.room(node, Channel.STATE):
                self._wire.send(node, frame, Channel.STATE)
                return True
        except NotDelivered:
            pass
        if node in self._present:
            self._behind[node] = None
            self._is_short.set()
        return False

    def _tell(self, changes: list[Change]) -> None:
        if not changes:
            return
        by_kind: dict[str, list[Change]] = {}
        for change in changes:
            by_kind.setdefault(change.key[:1], []).append(change)
        for kind, some in by_kind.items():
            for watcher in self._watchers.get(kind, ()):
                try:
                    watcher(some)
                except Exception:
                    logger.exception("changes of rows of kind %r could not be handled", kind)

    async def _compare_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._options.compare_interval_s * (0.5 + sources.draw()))
            now = self._clock.now()
            self.replica.collect(now)
            for node, since in list(self._lost.items()):
                if now - since > self._options.retention_s:
                    self.left(node)
            if self._present and self.replica.has_rows:  # who has some compares with those who have none
                self._compare(sources.chance().choice(list(self._present)), answer_wanted=True)

    async def _ask_again(self) -> None:
        """Repair what was not sent for want of room, and ask again for what did not come."""
        while True:
            if not self._behind and not self._wanted:
                self._is_short.clear()
                await self._is_short.wait()
            await asyncio.sleep(self._options.want_timeout_s / 4)
            for node in list(self._behind):
                if self._wire.room(node, Channel.STATE):
                    del self._behind[node]
                    self._compare(node, answer_wanted=True)
            late = self._clock.now() - self._options.want_timeout_s
            for owner in [owner for owner, wanted in self._wanted.items() if wanted.at < late]:
                self._ask_anybody(owner)
