"""Find peers in Kubernetes through DNS: the addresses of the pods behind a headless service.

The service must be headless (``clusterIP: None``) and publish pods that are not ready too
(``publishNotReadyAddresses: true``): a node that starts, or is about to leave, is a member like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from foundation.discovery.kubernetes.services import ServiceOptions, ServiceStrategy
from foundation.discovery.peers import Announcement
from foundation.discovery.ports import check_port, port_or_own

if TYPE_CHECKING:
    from foundation.discovery.dns_lookup import Question


@dataclass(frozen=True, slots=True)
class KubernetesDnsOptions(ServiceOptions):
    """Which service to look up, and at which port its pods are nodes."""

    port: int | None = None
    """The port of the nodes; None takes that of this node, which then is the same on all nodes."""

    resource_types: tuple[Literal["A", "AAAA"], ...] = ("A", "AAAA")
    """Types of records; a cluster with IPv4 alone is spared a question by ``("A",)``."""


class KubernetesDnsStrategy(ServiceStrategy):
    """Return the pods that DNS names, by address."""

    Options: ClassVar[type[KubernetesDnsOptions]] = KubernetesDnsOptions

    def __init__(self, options: KubernetesDnsOptions | None = None) -> None:
        """Check the options; raises ConfigurationError, or MissingExtraError without dnspython."""
        self._options = options or KubernetesDnsOptions()
        check_port(self._options.port, "port")
        super().__init__(self._options)

    def question(self, domain: str, announcement: Announcement) -> Question:
        """Ask for addresses."""
        port = port_or_own(self._options.port, "port", announcement)
        made: Question = self._module.Question((domain,), self._options.resource_types, port, resolve_targets=False)
        return made


Strategy = KubernetesDnsStrategy
