"""The way to one other node: its session, and the paths that the session takes.

A direct link is taken as soon as there is one, else the engine's routes. Whenever a path begins, both sides tell what
they have seen, and go on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from foundation.core.channels import BULK, CHANNELS, Channel
from foundation.core.identity import NodeId
from foundation.core.sources import chance
from foundation.errors import CodecError, Overloaded
from foundation.fabric.link import Link
from foundation.fabric.options import FabricOptions
from foundation.fabric.pacing import BulkWindow
from foundation.fabric.packet import PING, Ack, Data, Ping, Resume, pack_resume, pack_sender, unpack
from foundation.fabric.path import ROUTED_PIECE_BYTES, ROUTED_WINDOW_BYTES, DirectPath, Path, RoutedPath, Way
from foundation.fabric.room import Waiters
from foundation.fabric.session import PIECE_BYTES, GapError, Session

_FLUSH_BYTES = 64 << 10
_SIMULTANEOUS_S, _PACE_INTERVAL_S = 5.0, 0.005
_FRAMES_AT_ONCE = 64
"""After so many frames of one turn the first leave, so that the other side works on them too. With 256 callers: one
batch a turn 148,000 calls/s, both half idle; 32 to 128 at once 210,000 to 266,000; fewer cost more in writes."""


class Owner(Protocol):
    """What a peer needs from its fabric."""

    incarnation: int

    def admitted(self, node: NodeId, incarnation: int) -> bool:
        """Tell whether that incarnation of the node may speak."""
        ...

    def deliver(self, node: NodeId, frames: memoryview | bytes, channel: Channel) -> None:
        """Hand on a MessagePack array of frames of one channel."""
        ...

    def session_ended(self, node: NodeId, /) -> None:
        """Tell that the other side has forgotten the session: what was under way is lost."""
        ...

    def refused(self, peer: Peer) -> None:
        """Tell that the node speaks as an incarnation that may not."""
        ...

    def acknowledge_later(self, peer: Peer) -> None:
        """Have :meth:`Peer.acknowledge` called soon."""
        ...

    def look_later(self, peer: Peer) -> None:
        """Have :meth:`Peer.look` called in a moment."""
        ...

    def drop(self, why: str) -> None:
        """Count and log something that cannot be used."""
        ...


class Peer:
    """Frames to and from one node."""

    few_of_state = 0
    """How many rows and notes were no reason to dial."""

    def __init__(
        self, me: NodeId, node: NodeId, owner: Owner, put: Callable[[bytes], None], options: FabricOptions
    ) -> None:
        self.node = node
        self.dialing = False
        self.dial_after = 0.0
        self.failed_dials = 0
        self._me = me
        self._owner = owner
        self._put = put
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._direct: DirectPath | None = None
        self._linked_at = self._absent_at = 0.0
        self._routed: RoutedPath | None = None
        self._active: Path | None = None
        self._waiters = Waiters(node, options.most_waiters)
        self._progress = (0, 0.0)
        self._is_awaited = False
        self._most_waiting = options.queue_bytes
        self._most_before_waiting = options.window_bytes
        self._most_frame = options.most_frame_bytes
        self._enqueued = 0
        self.has_link = False
        """Whether there is a direct link, ready or not."""
        self._bulk = BulkWindow(options.window_bytes, options.bulk_queue_s)
        self._pace_after = 0.0
        self._begin_session()

    def _begin_session(self) -> None:
        self._session = Session(self._options.window_bytes, self._options.most_frame_bytes)
        self._session_id = chance().getrandbits(63) | 1
        self._their_session = 0
        if self._active is not None:
            self._pace_anew(self._active)

    @property
    def has_session(self) -> bool:
        """Whether the other side has ever been admitted."""
        return self._their_session != 0

    @property
    def way(self) -> Way | None:
        """How frames to the node travel now; None while there is no way."""
        return self._active.way if self._active else None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here for their turn."""
        return self._session.waiting_bytes

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes on their way, or lost, or not yet acknowledged."""
        return self._session.unacknowledged_bytes

    @property
    def owes_acknowledgement(self) -> bool:
        """Tell whether something has arrived that the other side does not know of."""
        return self._session.ack_owed

    # --- sending

    def enqueue(self, channel: Channel, frame: bytes) -> bool:
        """Let a frame wait for the next :meth:`flush`; return whether so many do that it should come now.

        Raises :class:`Overloaded` when too much waits already.
        """
        if len(frame) > self._most_frame or not self._session.enqueue(channel, frame, self._most_waiting):
            raise self._refusal(channel, frame)
        self._enqueued += 1
        return self._enqueued % _FRAMES_AT_ONCE == 0

    def take_count(self) -> int:
        """Return how many frames were enqueued since it was asked before."""
        count, self._enqueued = self._enqueued, 0
        return count

    def has_room(self, channel: Channel) -> bool:
        """Tell whether little enough waits in a channel that a sender may add to it."""
        return self._session.waiting(channel) < self._most_before_waiting

    async def wait_for_room(self, channel: Channel) -> None:
        """Wait until :meth:`has_room`; :class:`Overloaded` when too many wait already."""
        while not self.has_room(channel):
            await self._waiters.wait(channel)

    def flush(self) -> None:
        """Send what waits, as far as the window and the path allow."""
        path, session = self._active, self._session
        if path is None:
            return
        if any(session.unacknowledged(channel) for channel in BULK):
            self._pace(path)
        while path.is_writable and (packets := session.next_packets(_FLUSH_BYTES)):
            path.write(packets)
            if not self._is_awaited:
                self._await_acknowledgement()
            if len(packets) == 1 and len(packets[0]) < _FLUSH_BYTES:
                break  # the rest waits for the window, if there is any
        if self._waiters:
            self._waiters.wake(self.has_room)

    def acknowledge(self) -> None:
        """Tell the other side what has arrived, unless data has carried it."""
        if self._session.ack_owed and self._active is not None:
            self._active.write([self._session.ack()])

    # --- paths

    def found(self) -> None:
        """The node is present: the routes to it are open. After a cut an old link is not worth waiting for."""
        if self._direct is not None and self._linked_at < self._absent_at:
            self._direct.close()
        self._route().is_ready = False
        self._introduce(self._route())

    def absent(self) -> None:
        """The node is not present: there are no routes to it."""
        self._absent_at = self._loop.time()
        self._lose(self._routed)

    def attach(self, link: Link, *, dialed_here: bool) -> None:
        """Take a direct link; of two that were dialed at the same time both sides keep the same one."""
        path = DirectPath(link, dialed_here=dialed_here)
        if self._direct is not None and not self._is_better(path, self._direct):
            link.abort()
            return
        old, self._direct, self._linked_at = self._direct, path, self._loop.time()
        self.has_link = True
        link.writable = self.flush
        link.closed = lambda: self._lose(path)
        if old is not None:
            if self._active is old:
                self._active = None
            old.close()
        self._introduce(path)
        self._owner.look_later(self)
        link.take_over(lambda packet: self.packet(path, packet))

    def packet(self, path: Path, data: memoryview) -> None:
        """Take a packet that came on a path; what cannot be one is counted and dropped."""
        try:
            packet = unpack(data)
            if type(packet) is Data:
                self._take(path, packet)
            elif type(packet) is Resume:
                self._resumed(path, packet)
            elif type(packet) is Ack:
                self._session.receive_ack(packet)
                self.flush()
            elif type(packet) is Ping:
                path.write([self._session.ack()])
        except CodecError as error:
            self._owner.drop(str(error))

    def routed_packet(self, data: memoryview) -> None:
        """Take a packet that came over the engine's routes."""
        self.packet(self._route(), data)

    def restate(self) -> None:
        """Tell the other side of a new incarnation of this node."""
        for path in (self._direct, self._routed):
            if path is not None:
                self._introduce(path)

    def look(self, now: float) -> None:
        """See whether anything that was sent gets through; ask, and at last give up a direct link that is deaf."""
        path = self._active
        if path is None and self._direct is not None and now - self._linked_at > self._options.lease_s:
            self._direct.close()  # the other side does not begin on it; the routes may serve
        elif path is None and self._direct is not None:
            self._owner.look_later(self)
        self._is_awaited = path is not None and self._session.unacknowledged_bytes > 0
        if path is None or not self._is_awaited:
            return  # a path that begins, and what is sent then, are looked after anew
        self._owner.look_later(self)
        acknowledged = self._session.acknowledged
        if acknowledged != self._progress[0]:
            self._progress = (acknowledged, now)
            return
        stalled_s = now - self._progress[1]
        if stalled_s < self._options.stall_s:
            return
        if path.way is Way.ROUTED:
            self._introduce(path)
        elif stalled_s > self._options.lease_s:
            path.close()
        else:
            path.write([PING])

    def close(self, reason: str) -> None:
        """Give up all paths; who waits gets :class:`NotDelivered`."""
        direct, self._direct, self._routed, self._active = self._direct, None, None, None
        self.has_link = False
        if direct is not None:
            direct.close()
        self._waiters.refuse(reason)

    # --- inside

    def _await_acknowledgement(self) -> None:
        """Begin to count the seconds in which nothing gets through."""
        self._is_awaited = True
        self._progress = (self._session.acknowledged, self._loop.time())
        self._owner.look_later(self)

    def _pace(self, path: Path) -> None:
        """Fit the bulk that is under way to what the path carries without a queue."""
        now = self._loop.time()
        if now < self._pace_after or (times := path.round_trip_s()) is None:
            return
        self._bulk.observe(*times)
        self._session.limit(BULK, self._bulk.bytes, self._bulk.piece_bytes)
        self._pace_after = now + max(times[0], _PACE_INTERVAL_S)

    def _refusal(self, channel: Channel, frame: bytes) -> Overloaded:
        if len(frame) > self._most_frame:
            return Overloaded(f"a message of {len(frame)} bytes, more than {self._most_frame}")
        return Overloaded(f"{self._session.waiting(channel) >> 20} MB wait for node {self.node[:8]} already")

    def _route(self) -> RoutedPath:
        if self._routed is None:
            self._routed = RoutedPath(pack_sender(self._me), self._put)
        return self._routed

    def _is_better(self, new: DirectPath, old: DirectPath) -> bool:
        if old.link.is_closing or new.dialed_here == old.dialed_here:
            return True
        if self._loop.time() - self._linked_at > _SIMULTANEOUS_S:
            return True
        return new.dialed_here == (self._me > self.node)

    def _introduce(self, path: Path, *, answer_wanted: bool = True) -> None:
        known, seen = self._their_session, self._session.seen()
        path.write([pack_resume(Resume(self._owner.incarnation, self._session_id, known, answer_wanted, seen))])

    def _lose(self, path: Path | None) -> None:
        if path is None or path not in (self._direct, self._routed):
            return
        if path is self._direct:
            self._direct = None
            self.has_link = False
        else:
            self._routed = None
        if path is self._active or self._active is None:
            self._active = None
            if self._routed is not None:
                self._routed.is_ready = False
                self._introduce(self._routed)
        if not self.has_session:
            self._owner.refused(self)  # it hung up in silence

    def _resumed(self, path: Path, resume: Resume) -> None:
        if not self._owner.admitted(self.node, resume.incarnation):
            self._owner.drop(f"incarnation {resume.incarnation} of {self.node[:8]} is past")
            self._owner.refused(self)
            return
        if self._their_session not in (0, resume.session) and self._session.has_begun:
            self._begin_anew(resume.session)
            return
        is_news = self._their_session == 0
        self._their_session = resume.session
        if resume.known not in (0, self._session_id):
            self._introduce(path)  # it knows a session of this node that is no more, and will learn of this one
            return
        path.is_ready = path.has_begun = True
        if resume.answer_wanted or (is_news and resume.known == 0):
            self._introduce(path, answer_wanted=False)
        self._choose()
        if path is self._active:
            self._session.resume(resume.seen)
            if self._session.unacknowledged_bytes:
                self._await_acknowledgement()  # even if the path takes nothing at the moment
            self.flush()

    def _begin_anew(self, their_session: int) -> None:
        """Take that the other side knows nothing any more of what was said.

        Only where something was said: if both sides began anew whenever the other one did, they would never end.
        """
        self._begin_session()
        self._their_session = their_session
        self._active = None
        for path in (self._direct, self._routed):
            if path is not None:
                path.is_ready = False  # what still comes on it belongs to the session that is no more
        self._owner.session_ended(self.node)
        self.restate()

    def _choose(self) -> None:
        for path in (self._direct, self._routed):
            if path is not None and path.is_ready:
                if path is not self._active:
                    self._active = path
                    self._pace_anew(path)
                return

    def _pace_anew(self, path: Path) -> None:
        most, piece = self._options.window_bytes, PIECE_BYTES
        if path.way is Way.ROUTED:
            most, piece = min(most, ROUTED_WINDOW_BYTES), ROUTED_PIECE_BYTES
        self._session.limit(CHANNELS, most, piece)
        self._bulk = BulkWindow(most, self._options.bulk_queue_s)
        self._pace_after = 0.0
        is_known = path.round_trip_s() is not None
        self._session.limit(BULK, self._bulk.bytes if is_known else most, min(piece, self._bulk.piece_bytes))

    def _take(self, path: Path, data: Data) -> None:
        if not path.is_ready and path.has_begun:
            return  # sent before the other side heard that something is missing; it comes again
        if not path.is_ready:
            message = "data before the beginning of the path"
            raise CodecError(message)
        session = self._session
        try:
            frames = session.receive(data)
        except GapError:
            path.is_ready = False
            self._introduce(path)
            return
        if session.ack_due:
            path.write([session.ack()])
        elif session.ack_owed:
            self._owner.acknowledge_later(self)
        if frames is not None:
            self._owner.deliver(self.node, frames, Channel(data.channel))
        if session.has_work:
            self.flush()
