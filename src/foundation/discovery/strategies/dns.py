"""Find peers in DNS: addresses of one or several names, or SRV records, which name the port too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from foundation.discovery.extras import missing_extra
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.ports import check_port, port_or_own
from foundation.discovery.strategy import DiscoveryStrategy

if TYPE_CHECKING:
    from foundation.discovery.dns_lookup import DnsLookup

EXTRA = "dns"


@dataclass(frozen=True, slots=True)
class DnsOptions:
    """What to ask, and whom."""

    query: str | tuple[str, ...] = ()
    """Names to look up, one or several; one that ends with a dot is complete, others are tried in the system's search
    domains too."""

    resource_types: tuple[Literal["A", "AAAA", "SRV"], ...] = ("A", "AAAA")
    """Types of records; more find more, and each costs a question per name."""

    default_port: int | None = None
    """The port of what A and AAAA records name; None takes that of this node, which then is the same on all nodes."""

    srv_targets: Literal["addresses", "names"] = "addresses"
    """Whether the hosts in SRV records are looked up here, or handed on by name for who dials to look up."""

    poll_interval_s: float | None = 5.0
    """Seconds between two lookups; less finds new nodes sooner, more spares the servers; None takes the framework's."""

    nameservers: tuple[str, ...] = ()
    """IP addresses of the servers to ask; empty takes those of the system."""

    nameserver_port: int = 53
    """The port of the option ``nameservers``."""

    timeout_s: float = 4.0
    """Seconds that an answer may take, from any server; less notices a dead one sooner, more tolerates a slow one."""


class DnsStrategy(DiscoveryStrategy):
    """Return what DNS answers; raises DiscoveryError where it answers nothing that can be used."""

    Options: ClassVar[type[DnsOptions]] = DnsOptions

    def __init__(self, options: DnsOptions | None = None) -> None:
        """Check the options; raises ConfigurationError, or MissingExtraError without dnspython."""
        self._options = options = options or DnsOptions()
        try:
            from foundation.discovery import dns_lookup  # noqa: PLC0415 - needs dnspython
        except ImportError as error:
            raise missing_extra(EXTRA, "dnspython") from error
        self._module = dns_lookup
        self._names = self._module.check_names((options.query,) if isinstance(options.query, str) else options.query)
        check_port(options.default_port, "default_port")
        check_port(options.nameserver_port, "nameserver_port")
        self.poll_interval_s = options.poll_interval_s
        self._lookup: DnsLookup | None = None
        self._own_port = 0

    async def start(self, announcement: Announcement) -> None:
        """Read which servers the system asks."""
        options = self._options
        self._lookup = self._module.DnsLookup(options.nameservers, options.nameserver_port, options.timeout_s)
        needs_port = set(options.resource_types) != {"SRV"}
        self._own_port = port_or_own(options.default_port, "default_port", announcement) if needs_port else 0

    async def lookup(self) -> Iterable[Peer]:
        """Ask for every type of every name, at once."""
        if self._lookup is None:
            return ()
        options = self._options
        resolve_targets = options.srv_targets == "addresses"
        question = self._module.Question(self._names, options.resource_types, self._own_port, resolve_targets)
        return await self._lookup.peers(question)

    async def stop(self) -> None:
        """Forget the servers; they may be others at the next start."""
        self._lookup = None


Strategy = DnsStrategy
