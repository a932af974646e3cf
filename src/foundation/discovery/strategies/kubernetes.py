"""Find peers through the API of Kubernetes: list pods or the endpoints of services, then watch for changes.

Pods that are not ready, or are terminating, are kept: a node that drains still serves, still holds names and children,
and must be reached until it says goodbye itself. Forgetting it early is what other tools lose calls by.

Consistency: each poll lists anew; between two polls the watch follows every change, from the version of the last list
or bookmark on. What the server has forgotten is listed again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from foundation.core.backoff import Backoff
from foundation.core.sources import draw
from foundation.discovery.extras import missing_extra
from foundation.discovery.kubernetes.account import EXTRA, FOLDER, check_label, cluster_domain_of, namespace_of
from foundation.discovery.kubernetes.objects import (
    SERVICE_LABEL,
    Mode,
    Pod,
    Reading,
    peers_of,
    pods_of_pod,
    pods_of_slice,
    read_head,
)
from foundation.discovery.peers import Announcement, Peer, format_address
from foundation.discovery.ports import check_port, own_port
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

if TYPE_CHECKING:
    import msgspec

    from foundation.discovery.kubernetes.api import Access, Event, KubernetesApi, Resource

AGAIN = Backoff(first_s=0.2, most_s=30.0)


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    """Which pods are nodes, how to reach them, and how to ask."""

    lookup: Literal["endpoint_slices", "pods"] = "endpoint_slices"
    """What to list: the endpoints of a service, or pods; each takes a rule of its own in the Role."""

    selector: str | None = None
    """Labels of what is listed, as ``kubectl get --selector`` takes them; None is ``app=foundation``, or everything of
    the ``service`` where that is set."""

    service: str | None = None
    """The service whose endpoints are listed, and which gives the host names of the mode ``hostname``; None is any."""

    namespace: str | None = None
    """The namespace of the pods; None takes that of this pod, from its service account."""

    mode: Mode = "ip"
    """Addresses to dial: ``ip``, or ``hostname`` (what a headless service calls a pod of a StatefulSet; a pod without
    such a name is dialed by IP), or ``dns`` (what DNS calls the IP, as in ``10-0-0-7.shop.pod.cluster.local``)."""

    port: int | str | None = None
    """The port of the nodes, by number or by the name it has in the listed objects; None takes the one named
    ``foundation``, or that of this node, which then is the same on all nodes."""

    use_cached_resources: bool = False
    """Whether lists may come from the server's cache, which costs it less and may be old."""

    poll_interval_s: float | None = 30.0
    """Seconds between two lists, while changes are seen at once by watching; less notices a failure sooner, more
    spares the server; None takes the framework's."""

    api_server: str | None = None
    """The API server as ``https://host:port``; None takes ``KUBERNETES_SERVICE_HOST`` and ``KUBERNETES_SERVICE_PORT``
    from the environment. With ``http://``, for a proxy on this machine, no token is sent."""

    timeout_s: float = 4.0
    """Seconds that each step of an exchange may take; less notices a dead server sooner, more tolerates a slow one."""

    cluster_domain: str | None = None
    """The domain of the cluster; None takes ``CLUSTER_DOMAIN`` from the environment, else ``cluster.local``."""

    service_account: str = FOLDER
    """The folder with the files ``namespace``, ``token`` and ``ca.crt``."""

    token_file: str | None = None
    """The file with the token, which is read again for each request; None takes that of the service account."""

    ca_file: str | None = None
    """The file with the certificates of the server's authority; None takes that of the service account."""


class KubernetesStrategy(DiscoveryStrategy):
    """List and watch; raises DiscoveryError, for a missing permission with the rule that would grant it."""

    Options: ClassVar[type[KubernetesOptions]] = KubernetesOptions

    def __init__(self, options: KubernetesOptions | None = None) -> None:
        """Check the options; raises ConfigurationError, or MissingExtraError without httpx."""
        self._options = options = check(options or KubernetesOptions())
        try:
            from foundation.discovery.kubernetes import api  # noqa: PLC0415 - needs httpx
        except ImportError as error:
            raise missing_extra(EXTRA, "httpx") from error
        self._module = api
        self._pods_of = pods_of_slice if options.lookup == "endpoint_slices" else pods_of_pod
        self.poll_interval_s = options.poll_interval_s
        self._api: KubernetesApi | None = None
        self._reading = Reading("ip", None, None, "", None, "")
        self._forget()

    def _forget(self) -> None:
        self._objects: dict[str, tuple[Pod, ...]] = {}
        self._version = ""
        self._is_followed = False
        self._is_too_old = False
        self._failures = 0
        self._may_watch = True

    async def start(self, announcement: Announcement) -> None:
        """Read the service account; raises ConfigurationError where this is no pod and nothing else was configured."""
        options = self._options
        namespace = namespace_of(options.namespace, options.service_account)
        self._reading = Reading(
            options.mode,
            port_of(options.port),
            own_port(announcement),
            namespace,
            options.service,
            cluster_domain_of(options.cluster_domain),
        )
        self._api = self._module.KubernetesApi(self._access(), self._resource(namespace))

    async def lookup(self) -> Iterable[Peer]:
        """Return what the watch has just told, or list."""
        if self._api is None:
            return ()
        if not self._is_followed:
            self._version = ""
            cached = self._options.use_cached_resources and not self._is_too_old
            listing = await self._api.list_all(cached=cached)
            self._objects = {}
            for item in listing.items:
                self._keep(item)
            self._version = listing.version
            self._is_too_old = False
        self._is_followed = False
        return self._peers()

    async def wait_changed(self) -> None:
        """Return when the watch has told of a change, or is broken for the first time."""
        while self._api is not None and self._version and self._may_watch:
            if self._failures:
                await asyncio.sleep(AGAIN.delay_s(self._failures, draw()))
            try:
                if await self._follow(self._api):
                    self._is_followed = True
                    self._failures = 0
                    return
            except self._module.GoneError:
                self._failures += 1
                self._is_too_old = True
                return
            except self._module.DeniedError:
                self._may_watch = False  # said once; lists go on
                raise
            except DiscoveryError:
                if not self._failures:
                    self._failures = 1
                    return  # a list will tell whether the server is well
            self._failures += 1
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Close the connections."""
        api, self._api = self._api, None
        self._forget()
        if api is not None:
            await api.close()

    async def _follow(self, api: KubernetesApi) -> bool:
        """Watch until other peers are there, or the server ends it; tell which."""
        before = peers_of(self._pods())
        async with api.watch(self._version) as batches:
            async for events in batches:
                for event in events:
                    self._apply(event)
                self._failures = 0
                if peers_of(self._pods()) != before:
                    return True
        return False

    def _apply(self, event: Event) -> None:
        metadata = read_head(event.object)
        if metadata is None:
            return
        if event.type in ("ADDED", "MODIFIED"):
            self._keep(event.object)
        elif event.type == "DELETED":
            self._objects.pop(metadata.name, None)
        self._version = metadata.resource_version or self._version

    def _keep(self, item: msgspec.Raw) -> None:
        metadata = read_head(item)
        if metadata is not None:
            self._objects[metadata.name] = self._pods_of(item, self._reading)

    def _pods(self) -> list[Pod]:
        return [pod for pods in self._objects.values() for pod in pods]

    def _peers(self) -> Iterable[Peer]:
        pods = self._pods()
        peers = peers_of(pods)
        if pods and not peers:
            asked = "none is named 'foundation'" if self._options.port is None else f"no {self._options.port!r}"
            message = (
                f"{len(pods)} pods were found in the namespace {self._reading.namespace}, but not their port ({asked} "
                "among the ports of what is listed); name the port there or set the option 'port' to its number"
            )
            raise DiscoveryError(message)
        return peers

    def _access(self) -> Access:
        options = self._options
        folder = Path(options.service_account)
        return self._module.Access(
            options.api_server or server_of_pod(os.environ.get),
            Path(options.token_file) if options.token_file else folder / "token",
            Path(options.ca_file) if options.ca_file else folder / "ca.crt",
            options.timeout_s,
        )

    def _resource(self, namespace: str) -> Resource:
        options = self._options
        if options.lookup == "pods":
            return self._module.Resource("", "pods", namespace, selector_of(options))
        return self._module.Resource("discovery.k8s.io", "endpointslices", namespace, selector_of(options))


def check(options: KubernetesOptions) -> KubernetesOptions:
    """Return options that fit together, else raise ConfigurationError."""
    if options.service is not None:
        check_label(options.service, "service")
    port = port_of(options.port)
    if isinstance(port, int):
        check_port(port, "port")
    elif port is not None:
        check_label(port, "port")
    server = options.api_server
    if server is not None and not server.startswith(("https://", "http://")):
        message = f"the option 'api_server' must be https://host:port, not {server[:100]!r}"
        raise ConfigurationError(message)
    return options


def port_of(port: int | str | None) -> int | str | None:
    """Return a port that was written as digits as the number it is."""
    return int(port) if isinstance(port, str) and port.isascii() and port.isdecimal() else port


def selector_of(options: KubernetesOptions) -> str:
    """Return the labels to ask for."""
    is_service = options.service is not None and options.lookup == "endpoint_slices"
    labels = options.selector if options.selector is not None else "" if is_service else "app=foundation"
    return ",".join(filter(None, (labels, f"{SERVICE_LABEL}={options.service}" if is_service else "")))


def server_of_pod(environment: Callable[[str], str | None]) -> str:
    """Return where Kubernetes tells its pods that the API server is."""
    host, port = environment("KUBERNETES_SERVICE_HOST"), environment("KUBERNETES_SERVICE_PORT") or "443"
    if not host or not port.isdecimal():
        message = (
            "this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set); outside of one, set the options "
            "'api_server', 'namespace', 'token_file' and 'ca_file', or run `kubectl proxy` and set 'api_server' to it"
        )
        raise ConfigurationError(message)
    return f"https://{format_address(host, int(port))}"


Strategy = KubernetesStrategy
