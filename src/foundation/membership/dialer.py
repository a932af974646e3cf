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
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._logged: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        self._tasks.keep_running(self._run, "dial")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tasks.close()

    def want(self, addresses: Iterable[str], node: NodeId | None, *, at_once: bool = False) -> None:
        """Try these addresses unless their node is present; see :meth:`DialPlan.want`."""
        self._plan.want(addresses, node, self._clock.now(), at_once=at_once)
        self._wake.set()

    def leads_back(self, address: str) -> bool:
        """Tell whether an address is known to be this node's own."""
        return self._plan.leads_back(address)

    def forget(self, node: NodeId) -> None:
        """Stop trying to reach a node."""
        self._plan.forget(node)

    async def settle(self, timeout_s: float) -> None:
        """Wait until no address is being tried for the first time, or the time is over."""
        deadline = self._clock.now() + timeout_s
        while (self._wake.is_set() or self._plan.is_dialing()) and (left_s := deadline - self._clock.now()) > 0:
            self._idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._idle.wait()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            for address in self._plan.due(self._fabric.present(), self._clock.now()):
                self._tasks.start(self._dial(address), f"dial {address}")
            self._idle.set()
            next_due = self._plan.next_due(self._fabric.present())
            wait_s = None if next_due is None else max(next_due - self._clock.now(), 0.01)
            with suppress(TimeoutError):  # wait_for would swallow a cancellation that comes with a wake-up
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

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
            self._wake.set()

    def _give_up_for_now(self, address: str, error: FabricError, *, refused: bool) -> None:
        self._plan.failed(address, self._clock.now(), draw(), refused=refused)
        if refused and (address, str(error)) not in self._logged:
            self._logged.add((address, str(error)))
            logger.warning("cannot join the node at %s: %s", address, error)
        elif not refused:
            quiet = isinstance(error, UnreachableError)
            logger.log(logging.DEBUG if quiet else logging.WARNING, "no node met at %s: %s", address, error)
        self._tried(address, None, isinstance(error, UnreachableError) and error.connection_refused)
