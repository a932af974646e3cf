"""Look up a headless service of Kubernetes in DNS: what the strategies for addresses and for SRV records share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foundation.discovery.extras import missing_extra
from foundation.discovery.kubernetes.account import (
    EXTRA,
    FOLDER,
    check_label,
    cluster_domain_of,
    namespace_of,
    service_domain,
)
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.ports import check_port
from foundation.discovery.strategy import DiscoveryStrategy

if TYPE_CHECKING:
    from foundation.discovery.dns_lookup import DnsLookup, Question


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Which service to look up, and whom to ask."""

    service: str = "foundation"
    """The name of the headless service."""

    namespace: str | None = None
    """The namespace of the service; None takes that of this pod, from its service account."""

    cluster_domain: str | None = None
    """The domain of the cluster; None takes ``CLUSTER_DOMAIN`` from the environment, else ``cluster.local``."""

    poll_interval_s: float | None = 5.0
    """Seconds between two lookups; less finds new nodes sooner, more spares the server; None takes the framework's."""

    nameservers: tuple[str, ...] = ()
    """IP addresses of the servers to ask; empty takes those of the pod."""

    nameserver_port: int = 53
    """The port of the option ``nameservers``."""

    timeout_s: float = 4.0
    """Seconds that an answer may take; less notices a dead server sooner, more tolerates a slow one."""

    service_account: str = FOLDER
    """The folder with the file ``namespace``."""


class ServiceStrategy(DiscoveryStrategy):
    """Return the pods that DNS names for a service; raises DiscoveryError where it does not know the service."""

    def __init__(self, options: ServiceOptions) -> None:
        """Check the options; raises ConfigurationError, or MissingExtraError without dnspython."""
        self._service = options
        try:
            from foundation.discovery import dns_lookup  # noqa: PLC0415 - needs dnspython
        except ImportError as error:
            raise missing_extra(EXTRA, "dnspython") from error
        self._module = dns_lookup
        check_label(options.service, "service")
        check_port(options.nameserver_port, "nameserver_port")
        self.poll_interval_s = options.poll_interval_s
        self._lookup: DnsLookup | None = None
        self._asked: Question | None = None

    @abstractmethod
    def question(self, domain: str, announcement: Announcement) -> Question:
        """Return what to ask about the service whose full name is ``domain``, with a dot at the end."""

    async def start(self, announcement: Announcement) -> None:
        """Read the pod's namespace, and which servers it asks; raises ConfigurationError outside of a pod."""
        options = self._service
        namespace = namespace_of(options.namespace, options.service_account)
        domain = service_domain(options.service, namespace, cluster_domain_of(options.cluster_domain))
        # With a dot at the end: else the search domains of the pod would be tried first, four questions for one.
        self._asked = self.question(f"{domain}.", announcement)
        self._module.check_names(self._asked.names)
        self._lookup = self._module.DnsLookup(options.nameservers, options.nameserver_port, options.timeout_s)

    async def lookup(self) -> Iterable[Peer]:
        """Ask about the service."""
        if self._lookup is None or self._asked is None:
            return ()
        return await self._lookup.peers(self._asked)

    async def stop(self) -> None:
        """Forget the servers; they may be others at the next start."""
        self._lookup = None
