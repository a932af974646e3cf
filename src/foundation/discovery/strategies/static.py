"""Find peers in a list of addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from foundation.discovery.peers import Peer, format_address, parse_address
from foundation.discovery.strategy import DiscoveryStrategy


@dataclass(frozen=True, slots=True)
class StaticOptions:
    """Whom to dial."""

    addresses: tuple[str, ...] = ()
    """Doors as ``host:port``; one living node among them is enough to find all others."""

    default_port: int | None = None
    """The port of addresses that name none; without it such an address is refused."""

    poll_interval_s: float | None = 30.0
    """Seconds between two reminders of the list, which does not change by itself; None takes the framework's."""


class StaticStrategy(DiscoveryStrategy):
    """Return the configured addresses; names of hosts are resolved by who dials them."""

    Options: ClassVar[type[StaticOptions]] = StaticOptions

    def __init__(self, options: StaticOptions | None = None) -> None:
        """Check the addresses; raises ConfigurationError."""
        options = options or StaticOptions()
        self.poll_interval_s = options.poll_interval_s
        parsed = (parse_address(address, options.default_port) for address in options.addresses)
        self._peers = tuple(Peer((format_address(host, port),)) for host, port in parsed)

    async def lookup(self) -> Iterable[Peer]:
        """Return a peer for each address."""
        return self._peers


Strategy = StaticStrategy
