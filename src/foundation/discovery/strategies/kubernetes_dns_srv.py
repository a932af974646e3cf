"""Find peers in Kubernetes through DNS: the host names and the port of the pods behind a headless service.

A pod of a StatefulSet keeps its host name when it is started again with another address. The service must be headless
(``clusterIP: None``), name its port, and publish pods that are not ready too (``publishNotReadyAddresses: true``): a
node that starts, or is about to leave, is a member like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from foundation.discovery.kubernetes.account import check_label
from foundation.discovery.kubernetes.services import ServiceOptions, ServiceStrategy
from foundation.discovery.peers import Announcement

if TYPE_CHECKING:
    from foundation.discovery.dns_lookup import Question


@dataclass(frozen=True, slots=True)
class KubernetesDnsSrvOptions(ServiceOptions):
    """Which service to look up, and which of its ports."""

    port_name: str = "foundation"
    """The name of the port in the service; empty takes all ports that have a name."""

    targets: Literal["names", "addresses"] = "names"
    """Whether host names are handed on for who dials to look up, as certificates may need it, or looked up here."""


class KubernetesDnsSrvStrategy(ServiceStrategy):
    """Return the pods that DNS names, by host name and port."""

    Options: ClassVar[type[KubernetesDnsSrvOptions]] = KubernetesDnsSrvOptions

    def __init__(self, options: KubernetesDnsSrvOptions | None = None) -> None:
        """Check the options; raises ConfigurationError, or MissingExtraError without dnspython."""
        self._options = options or KubernetesDnsSrvOptions()
        if self._options.port_name:
            check_label(self._options.port_name, "port_name")
        super().__init__(self._options)

    def question(self, domain: str, announcement: Announcement) -> Question:  # noqa: ARG002 - the records name the port
        """Ask for SRV records."""
        port = f"_{self._options.port_name}._tcp." if self._options.port_name else ""
        resolve_targets = self._options.targets == "addresses"
        made: Question = self._module.Question((f"{port}{domain}",), ("SRV",), 0, resolve_targets)
        return made


Strategy = KubernetesDnsSrvStrategy
