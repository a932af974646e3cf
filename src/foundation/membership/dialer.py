"""Knock at the addresses that the plan names, and tell what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from foundation.core.clock import Clock
from foundation.core.identity import NodeId
from foundation.core.sources import draw
from foundation.core.tasks import TaskScope
from foundation.errors import FabricError, HandshakeError, RefusedError, UnreachableError
from foundation.fabric import Fabric, NodeAddress
from foundation.fabric.handshake import Refusal
from foundation.membership.dialing import DialPlan
from foundation.membership.options import MembershipOptions

logger = logging.getLogger(__name__)

_SHORTEST_SLEEP_S = 0.01


class Dialer:
    """Keep trying to meet every node that is known and not present."""

    def __init__(
        self,
        fabric: Fabric,
        options: MembershipOptions,
        clock: Clock,
        tried: Callable[[str, NodeId | None, bool], None],
    ) -> None:
        """``tried(address, node, refused)`` is told of every try: who lives there, or whether the host refused."""
        self._fabric = fabric
        self._clock = clock
        self._tried = tried
        self._plan = DialPlan(options)
        self._tasks = TaskScope("dialer")
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False
        self._idle = asyncio.Event()
        self._logged: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._wake()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        for handle in (self._soon, self._timer):
            if handle is not None:
                handle.cancel()
        await self._tasks.close()

    def want(self, addresses: Iterable[str], node: NodeId | None, *, at_once: bool = False) -> None:
        """Try these addresses unless their node is present; see :meth:`DialPlan.want`."""
        self._plan.want(addresses, node, self._clock.now(), at_once=at_once)
        self._wake()

    def leads_back(self, address: str) -> bool:
        """Tell whether an address is known to be this node's own."""
        return self._plan.leads_back(address)

    def forget(self, node: NodeId) -> None:
        """Stop trying to reach a node."""
        self._plan.forget(node, self._clock.now())

    async def settle(self, timeout_s: float) -> None:
        """Wait until no address is being tried for the first time, or the time is over."""
        deadline = self._clock.now() + timeout_s
        while (self._soon is not None or self._plan.is_dialing()) and (left_s := deadline - self._clock.now()) > 0:
            self._idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._idle.wait()

    def _wake(self) -> None:
        """Look at the plan in the next turn, once for all that has changed in this one."""
        if self._soon is None and self._is_open:
            self._soon = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Start what is due, and sleep until something is."""
        self._soon = None
        if self._timer is not None:
            self._timer.cancel()
        now, present = self._clock.now(), self._fabric.present()
        for address in self._plan.due(present, now):
            self._tasks.start(self._dial(address), f"dial {address}")
        self._idle.set()
        next_due = self._plan.next_due(present)
        if next_due is not None:
            delay_s = max(next_due - now, _SHORTEST_SLEEP_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    async def _dial(self, address: str) -> None:
        try:
            identity = await self._fabric.meet(NodeAddress.parse(address))
        except RefusedError as error:
            if error.reason == Refusal.ITSELF.name:
                self._plan.is_own(address)
                self._tried(address, self._fabric.node_id, False)  # noqa: FBT003
            else:
                self._give_up_for_now(address, error, refused=True)
        except FabricError as error:
            self._give_up_for_now(address, error, refused=isinstance(error, HandshakeError))
        else:
            self._plan.reached(address, identity.node, self._clock.now())
            for other in identity.others:
                self._plan.want(other.addresses, other.node, self._clock.now())
            self._tried(address, identity.node, False)  # noqa: FBT003
        finally:
            self._wake()

    def _give_up_for_now(self, address: str, error: FabricError, *, refused: bool) -> None:
        self._plan.failed(address, self._clock.now(), draw(), refused=refused)
        if refused and (address, str(error)) not in self._logged:
            self._logged.add((address, str(error)))
            logger.warning("cannot join the node at %s: %s", address, error)
        elif not refused:
            quiet = isinstance(error, UnreachableError)
            logger.log(logging.DEBUG if quiet else logging.WARNING, "no node met at %s: %s", address, error)
        self._tried(address, None, isinstance(error, UnreachableError) and error.connection_refused)
