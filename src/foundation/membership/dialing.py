"""Which addresses to try, and when. Pure.

Discovery and other members bring addresses; the dialer takes them up one by one. An address whose node is present is
left alone; one that fails waits longer each time, and the longer the more there are; one that leads back to this node
is never tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foundation.core.identity import NodeId
from foundation.membership.options import MembershipOptions

_MOST_ADDRESSES = 10_000
_SPARED = 4
"""So many addresses are redialed at the pace that was set; more share its dials. After a cut one that succeeds is
enough, as the nodes on both sides then hear of each other by gossip; so a cut costs a node the same in any cluster."""


@dataclass(slots=True)
class _Target:
    node: NodeId | None
    due: float
    wanted_at: float
    is_anybodys: bool = False
    """Given without a node: whoever lives there is wanted, also after one that has left."""
    failures: int = 0


class DialPlan:
    """The addresses this node knows, and when each is to be tried next."""

    def __init__(self, options: MembershipOptions) -> None:
        self._options = options
        self._targets: dict[str, _Target] = {}
        self._dialing: set[str] = set()
        self._own: set[str] = set()
        self._sought = 0
        """How many addresses have nobody who is present, as of the last look."""

    def want(self, addresses: Iterable[str], node: NodeId | None, now: float, *, at_once: bool = False) -> None:
        """Note that somebody may live at these addresses; ``at_once`` forgets earlier failures."""
        for address in addresses:
            if address in self._own or (address not in self._targets and len(self._targets) >= _MOST_ADDRESSES):
                continue
            target = self._targets.setdefault(address, _Target(node, now, now))
            target.wanted_at = now
            target.node = node or target.node
            target.is_anybodys |= node is None
            if at_once:
                target.due, target.failures = now, 0

    def due(self, present: set[NodeId], now: float) -> list[str]:
        """Return the addresses to dial now, and note that they are being dialed."""
        sought = [item for item in self._targets.items() if item[1].node not in present]
        self._sought = len(sought)
        found = [item for item in sought if item[1].due <= now and item[0] not in self._dialing]
        if len(found) > (most := self._options.most_dials - len(self._dialing)):
            found.sort(key=_urgency)
            del found[most:]
        addresses = [address for address, _ in found]
        self._dialing.update(addresses)
        return addresses

    def next_due(self, present: set[NodeId]) -> float | None:
        """Return when the next address is to be dialed; None when there is none, or when one in work must end first."""
        if len(self._dialing) >= self._options.most_dials:
            return None
        waiting = [t.due for a, t in self._targets.items() if t.node not in present and a not in self._dialing]
        return min(waiting, default=None)

    def is_dialing(self) -> bool:
        """Tell whether any address is being tried right now."""
        return bool(self._dialing)

    def reached(self, address: str, node: NodeId, now: float) -> None:
        """Note who lives at an address; its presence may take a moment to show."""
        self._dialing.discard(address)
        if target := self._targets.get(address):
            target.node, target.failures = node, 0
            target.due = now + self._options.redial.first_s

    def failed(self, address: str, now: float, chance: float, *, refused: bool = False) -> None:
        """Note that nobody was reached; ``refused``: somebody answered and does not want this node."""
        self._dialing.discard(address)
        if (target := self._targets.get(address)) is None:
            return
        target.failures += 1
        redial_s = self._options.redial.delay_s(target.failures, chance) * max(1.0, self._sought / _SPARED)
        target.due = now + (self._options.refused_again_s if refused else redial_s)
        if now - target.wanted_at > self._options.retention_s:
            del self._targets[address]  # discovery brings it back if it still counts

    def leads_back(self, address: str) -> bool:
        """Tell whether an address is known to be this node's own."""
        return address in self._own

    def is_own(self, address: str) -> None:
        """Note that an address leads back to this node."""
        self._own.add(address)
        self._dialing.discard(address)
        self._targets.pop(address, None)

    def forget(self, node: NodeId, now: float) -> None:
        """Drop the addresses of a node that is gone for good; one that is anybody's waits for the next."""
        for address, target in [item for item in self._targets.items() if item[1].node == node]:
            if target.is_anybodys:
                target.node, target.failures, target.due = None, 0, now + self._options.redial.first_s
            else:
                del self._targets[address]
                self._dialing.discard(address)


def _urgency(item: tuple[str, _Target]) -> tuple[bool, float]:
    """Put first what was never tried: others wait for this node's opinion."""
    _, target = item
    return target.failures > 0, target.due
