"""Which addresses to try, and when. Pure.

Discovery and other members bring addresses; the dialer takes them up one by one. An address whose node is present is
left alone; one that fails waits longer each time; one that leads back to this node is never tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foundation.core.identity import NodeId
from foundation.membership.options import MembershipOptions

_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Target:
    node: NodeId | None
    due: float
    wanted_at: float
    failures: int = 0
    is_dialing: bool = False


class DialPlan:
    """The addresses this node knows, and when each is to be tried next."""

    def __init__(self, options: MembershipOptions) -> None:
        self._options = options
        self._targets: dict[str, _Target] = {}
        self._own: set[str] = set()

    def want(self, addresses: Iterable[str], node: NodeId | None, now: float, *, at_once: bool = False) -> None:
        """Note that somebody may live at these addresses; ``at_once`` forgets earlier failures."""
        for address in addresses:
            if address in self._own or (address not in self._targets and len(self._targets) >= _MOST_ADDRESSES):
                continue
            target = self._targets.setdefault(address, _Target(node, now, now))
            target.wanted_at = now
            target.node = node or target.node
            if at_once:
                target.due, target.failures = now, 0

    def due(self, present: set[NodeId], now: float) -> list[str]:
        """Return the addresses to dial now, and note that they are being dialed."""
        found: list[str] = []
        dialing = sum(target.is_dialing for target in self._targets.values())
        for address, target in self._targets.items():
            if dialing + len(found) >= self._options.most_dials:
                break
            if target.due <= now and not target.is_dialing and target.node not in present:
                target.is_dialing = True
                found.append(address)
        return found

    def next_due(self, present: set[NodeId]) -> float | None:
        """Return when the next address is to be dialed, or None when there is none."""
        waiting = (t.due for t in self._targets.values() if not t.is_dialing and t.node not in present)
        return min(waiting, default=None)

    def is_dialing(self) -> bool:
        """Tell whether any address is being tried right now."""
        return any(target.is_dialing for target in self._targets.values())

    def reached(self, address: str, node: NodeId, now: float) -> None:
        """Note who lives at an address; its presence may take a moment to show."""
        if target := self._targets.get(address):
            target.node, target.failures, target.is_dialing = node, 0, False
            target.due = now + self._options.redial.first_s

    def failed(self, address: str, now: float, chance: float, *, refused: bool = False) -> None:
        """Note that nobody was reached; ``refused``: somebody answered and does not want this node."""
        if (target := self._targets.get(address)) is None:
            return
        target.is_dialing = False
        target.failures += 1
        redial = self._options.redial
        target.due = now + (self._options.refused_again_s if refused else redial.delay_s(target.failures, chance))
        if now - target.wanted_at > self._options.retention_s:
            del self._targets[address]  # discovery brings it back if it still counts

    def leads_back(self, address: str) -> bool:
        """Tell whether an address is known to be this node's own."""
        return address in self._own

    def is_own(self, address: str) -> None:
        """Note that an address leads back to this node."""
        self._own.add(address)
        self._targets.pop(address, None)

    def forget(self, node: NodeId) -> None:
        """Drop the addresses of a node that is gone for good."""
        for address in [address for address, target in self._targets.items() if target.node == node]:
            del self._targets[address]
