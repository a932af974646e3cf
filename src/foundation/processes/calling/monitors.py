"""What this node watches, to know when it ends: one call to the other node for each process, however many ask.

Consistency: who watches is told once, or cancels. While a node is unreachable nothing is said; when it is down that is
the end, also for who comes back later.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

import msgspec
from msgspec import Raw

from foundation.core.identity import NodeId, ProcessId
from foundation.errors import NoSuchProcessError, NotDelivered, NotRunningError, Overloaded
from foundation.processes.calling.calls import Calls, Outcome, Pending, error_of
from foundation.processes.ended import Ended, Ending, EndReason
from foundation.processes.monitor import Cancel, Tell

_decode = msgspec.msgpack.Decoder(Ending).decode


@dataclass(slots=True)
class _Watched:
    pending: Pending | None
    """None when its node is no member."""

    tells: dict[int, Tell] = field(default_factory=dict[int, Tell])


class Monitors:
    """The processes that this node watches."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._watched: dict[ProcessId, _Watched] = {}
        self._last = 0

    def __len__(self) -> int:
        """Count the processes that are watched."""
        return len(self._watched)

    def watch(self, target: ProcessId, tell: Tell) -> Cancel:
        """Have the end of a process told, never within this call; the result ends that, and may be called twice.

        Raises Overloaded when too much waits for the node of the process.
        """
        watched = self._watched.get(target) or self._begin(target)
        self._last = number = self._last + 1
        watched.tells[number] = tell
        return partial(self._leave, target, watched, number)

    def node_gone(self, node: NodeId, reason: EndReason) -> None:
        """Tell the end of all that was watched on a node."""
        for target in [target for target in self._watched if target.node == node]:
            watched = self._watched.pop(target)
            if watched.pending is not None:
                self._calls.abandon(watched.pending)
            _tell(watched, Ended(node, target, reason))

    def _begin(self, target: ProcessId) -> _Watched:
        try:
            pending = self._calls.watch(target)
        except Overloaded:
            raise
        except NotDelivered:
            watched = self._watched[target] = _Watched(None)
            asyncio.get_running_loop().call_soon(self._end, target, watched, EndReason.NODE_DOWN)
        else:
            watched = self._watched[target] = _Watched(pending)
            pending.answer.add_done_callback(lambda answer: self._answered(target, watched, answer))
        return watched

    def _leave(self, target: ProcessId, watched: _Watched, number: int) -> None:
        if watched.tells.pop(number, None) is None or watched.tells or self._watched.get(target) is not watched:
            return
        del self._watched[target]
        if watched.pending is not None:
            self._calls.abandon(watched.pending)

    def _answered(self, target: ProcessId, watched: _Watched, answer: asyncio.Future[Outcome]) -> None:
        if answer.cancelled() or self._watched.get(target) is not watched:
            return
        del self._watched[target]
        _tell(watched, _ended(target, answer.result()))

    def _end(self, target: ProcessId, watched: _Watched, reason: EndReason) -> None:
        if self._watched.get(target) is watched:
            del self._watched[target]
            _tell(watched, Ended(target.node, target, reason))


def _tell(watched: _Watched, ended: Ended | None) -> None:
    tells, watched.tells = watched.tells, {}
    for tell in tells.values():
        tell(ended)


def _ended(target: ProcessId, outcome: Outcome) -> Ended | None:
    if isinstance(outcome, Raw):
        try:
            ending = _decode(outcome)
        except msgspec.DecodeError as error:  # a newer node's, or garbage: it has ended all the same
            ending = Ending(EndReason.CRASHED, f"for a reason that is not known here: {error}")
        return Ended(target.node, target, ending.reason, ending.text, ending.error_type)
    why = error_of(outcome)
    if isinstance(why, NotRunningError):
        return None
    gone = isinstance(why, NoSuchProcessError)
    return Ended(target.node, target, EndReason.NO_SUCH_PROCESS if gone else EndReason.NODE_DOWN)
