"""What travels with a call and is inherited by the calls that its handler makes."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any
from weakref import ReferenceType

import msgspec


class CallContext(msgspec.Struct, frozen=True):
    """The circumstances of the call that is being handled; outside of handlers everything is empty."""

    deadline: float | None = None
    """When the caller stops waiting, on the clock of this node; None is never."""

    chain: tuple[Any, ...] = ()
    """The processes that wait for this handler, the one that runs it last."""

    task: ReferenceType[asyncio.Task[Any]] | None = None
    """The handler's own task: only what is awaited there makes those in the chain wait."""

    def awaited_chain(self) -> tuple[Any, ...]:
        """Return the chain, if this runs in the handler's own task."""
        if not self.chain or self.task is None or self.task() is not asyncio.current_task():
            return ()
        return self.chain

    def timeout_s(self, own_s: float | None, now: float) -> float | None:
        """Return how long a nested call may take: the smaller of its own limit and of what is left, or None."""
        if self.deadline is None:
            return own_s
        left_s = self.deadline - now
        return left_s if own_s is None else min(own_s, left_s)


NO_CONTEXT = CallContext()
call_context: ContextVar[CallContext] = ContextVar("foundation_call_context", default=NO_CONTEXT)
