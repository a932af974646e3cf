"""The strategy for Kubernetes against a real API server; what is no Kubernetes there is said where it is started."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import foundation
from foundation.discovery import DiscoveryStrategy, Peer, make_strategy
from foundation.discovery.kubernetes import api
from foundation.errors import DiscoveryError
from tests.commands import Commands
from tests.discovery.announcing import announcement, until_seen
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.programs import playground
from tests.services.kube_apiserver import KubeApiServer, kube_apiserver
from tests.services.kubernetes import endpoint, pod, slice_of
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)  # the first test waits for the server to start
MANIFEST = Path(__file__).parent.parent.parent / "deploy" / "kubernetes" / "foundation.yaml"
SERVICE_ACCOUNT = "foundation"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApiServer]:
    with kube_apiserver(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


class Namespace:
    """A namespace of its own for one test, with the service account of the manifest."""

    def __init__(self, server: KubeApiServer, folder: Path) -> None:
        self.server = server
        self.name = f"shop-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.core = f"/api/v1/namespaces/{self.name}"
        self.slices = f"/apis/discovery.k8s.io/v1/namespaces/{self.name}/endpointslices"
        self._roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.name}"

    async def open(self) -> None:
        await self.server.account(self.name, SERVICE_ACCOUNT, self.folder)

    async def apply(self, kind: str, path: str, **changes: Any) -> None:
        """Create what the manifest has of that kind."""
        documents = yaml.safe_load_all(MANIFEST.read_text())
        (document,) = (each for each in documents if each["kind"] == kind)
        await self.server.ask("POST", path, document | changes)

    async def permit(self, *resources: str) -> None:
        """Bind the role of the manifest, or one for other resources of the core."""
        rule = {"apiGroups": [""], "resources": list(resources), "verbs": ["list", "watch"]}
        await self.apply("Role", f"{self._roles}/roles", **({"rules": [rule]} if resources else {}))
        await self.bind()

    async def bind(self) -> None:
        await self.apply("RoleBinding", f"{self._roles}/rolebindings")

    async def unbind(self) -> None:
        await self.server.ask("DELETE", f"{self._roles}/rolebindings/foundation")

    async def put_slice(self, name: str, *endpoints: Any) -> None:
        item = slice_of(name, *endpoints)
        del item["metadata"]["uid"]
        for each in item["endpoints"]:
            each["targetRef"]["namespace"] = self.name
        item["endpoints"] = item["endpoints"] or []
        await self.server.ask("POST", self.slices, item)

    async def put_pod(self, name: str, address: str) -> None:
        """Make a pod that seems to run; what a kubelet would say of it is said here."""
        host, _, port = address.rpartition(":")
        made = pod(name, host, ports={"foundation": int(port)})
        del made["metadata"]["uid"]
        status = made.pop("status")
        # On a node that has no kubelet, so that it stays when it is deleted, as one does that takes its time to end.
        made["spec"] |= {"nodeName": "somewhere", "terminationGracePeriodSeconds": 60}
        await self.server.ask("POST", f"{self.core}/pods", made)
        await self.server.ask("PATCH", f"{self.core}/pods/{name}/status", {"status": status}, patch=True)

    async def remove_pod(self, name: str, grace_s: int) -> None:
        await self.server.ask("DELETE", f"{self.core}/pods/{name}", {"gracePeriodSeconds": grace_s})

    def make(self, **options: Any) -> DiscoveryStrategy:
        found = {"api_server": self.server.url, "service_account": str(self.folder)}
        return make_strategy("kubernetes", found | options)


@pytest.fixture
async def namespace(server: KubeApiServer, tmp_path: Path) -> Namespace:
    made = Namespace(server, tmp_path / "account")
    await made.open()
    return made


@pytest.fixture
async def strategy(namespace: Namespace) -> AsyncIterator[DiscoveryStrategy]:
    made = namespace.make()
    await made.start(announcement())
    yield made
    await made.stop()


def at(*addresses: str) -> set[Peer]:
    return {Peer((address,)) for address in addresses}


async def permitted(strategy: DiscoveryStrategy) -> set[Peer]:
    """Look up until the server knows of the permission, which takes it a moment."""
    async with asyncio.timeout(10):
        while True:
            with suppress(DiscoveryError):
                return set(await strategy.lookup())


async def test_manifest_is_accepted(namespace: Namespace) -> None:
    """The server takes every object of the manifest, and knows every field in it."""
    apps = f"/apis/apps/v1/namespaces/{namespace.name}"
    policy = f"/apis/policy/v1/namespaces/{namespace.name}"
    await namespace.permit()
    await namespace.apply("Service", f"{namespace.core}/services")
    await namespace.apply("PodDisruptionBudget", f"{policy}/poddisruptionbudgets")
    await namespace.apply("StatefulSet", f"{apps}/statefulsets")
    await namespace.server.ask("DELETE", f"{namespace.core}/serviceaccounts/foundation")
    await namespace.apply("ServiceAccount", f"{namespace.core}/serviceaccounts")
    secret = yaml.safe_load((MANIFEST.parent / "cookie.yaml").read_text())
    await namespace.server.ask("POST", f"{namespace.core}/secrets", secret)


async def test_refusal_names_the_rule_that_the_manifest_grants(
    namespace: Namespace, strategy: DiscoveryStrategy
) -> None:
    """Without the role, the error names account, rule and command; with the role of the manifest, there is none."""
    with pytest.raises(DiscoveryError) as caught:
        await strategy.lookup()
    account = f"system:serviceaccount:{namespace.name}:foundation"
    assert str(caught.value) == (
        f"Kubernetes forbids {account} to list endpointslices (403): its Role in the namespace {namespace.name} lacks "
        '{apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"]}; '
        f"test it: kubectl auth can-i list endpointslices.discovery.k8s.io -n {namespace.name} --as {account}"
    )
    await namespace.permit()
    assert await permitted(strategy) == set()


async def test_endpoints_are_listed_in_pages_and_watched(
    namespace: Namespace, strategy: DiscoveryStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endpoints of all pages are found, terminating ones too; what changes is known without another list."""
    monkeypatch.setattr(api, "PAGE", 2)
    await namespace.permit()
    for number in range(5):
        await namespace.put_slice(
            f"s{number}", endpoint(f"p{number}", f"10.1.0.{number}", ready=False, terminating=True)
        )
    expected = at(*(f"10.1.0.{number}:4711" for number in range(5)))
    assert await permitted(strategy) == expected
    waiting = asyncio.ensure_future(strategy.wait_changed())
    await namespace.put_slice("s5", endpoint("p5", "10.1.0.5"))
    await asyncio.wait_for(waiting, 5)
    await namespace.server.ask("DELETE", f"{namespace.slices}/s0")
    expected = expected - at("10.1.0.0:4711") | at("10.1.0.5:4711")
    await until_seen(strategy, lambda seen: seen == expected, "one more and one less")


async def test_version_that_is_forgotten(namespace: Namespace, strategy: DiscoveryStrategy) -> None:
    """A watch from before what the server remembers ends at once, and a list follows."""
    await namespace.permit()
    await permitted(strategy)
    await namespace.put_slice("s", endpoint("p", "10.1.0.1"))
    strategy._version = "1"  # type: ignore[attr-defined]
    await asyncio.wait_for(strategy.wait_changed(), 5)
    assert set(await strategy.lookup()) == at("10.1.0.1:4711")


async def test_pod_that_terminates_is_kept_until_it_is_gone(namespace: Namespace) -> None:
    """A pod that is being deleted still serves, and is found until it does not exist any more."""
    await namespace.permit("pods")
    strategy = namespace.make(lookup="pods")
    await strategy.start(announcement())
    try:
        await namespace.put_pod("a", "10.1.0.1:4711")
        assert await permitted(strategy) == at("10.1.0.1:4711")
        await namespace.remove_pod("a", grace_s=60)
        state = await namespace.server.ask("GET", f"{namespace.core}/pods/a")
        assert state["metadata"]["deletionTimestamp"]
        assert set(await strategy.lookup()) == at("10.1.0.1:4711")
        await namespace.remove_pod("a", grace_s=0)
        await until_seen(strategy, lambda seen: not seen, "nobody")
    finally:
        await strategy.stop()


async def test_token_that_is_not_believed(namespace: Namespace, strategy: DiscoveryStrategy) -> None:
    """A token that the server did not issue is refused, and the error names its file; a good one works at once."""
    await namespace.permit()
    await permitted(strategy)
    token = namespace.folder / "token"
    good = token.read_text()
    token.write_text("wrong")
    with pytest.raises(DiscoveryError, match=f"does not believe the token in {token}"):
        await strategy.lookup()
    token.write_text(good)
    assert set(await strategy.lookup()) == set()


class Listed:
    """Pods that are nodes; the server fails by what an administrator can do to it."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._addresses: Sequence[str] = ()
        self._fault: Fault | None = None

    async def list(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        for number, address in enumerate(addresses):
            await self.namespace.put_pod(f"p{number}", address)

    async def misbehave(self, fault: Fault | None) -> None:
        if fault == "error":
            await self.namespace.unbind()
        elif fault == "empty":
            for number in range(len(self._addresses)):
                await self.namespace.remove_pod(f"p{number}", grace_s=0)
        elif self._fault == "error":
            await self.namespace.bind()
        else:
            await self.list(self._addresses)
        self._fault = fault


class TestFaults(FaultContract):
    """Permissions that are taken away, and pods that vanish from the list, disconnect nobody."""

    faults = ("empty", "error")

    @pytest.fixture
    async def source(self, namespace: Namespace) -> Listed:
        await namespace.permit("pods")
        return Listed(namespace)

    def make(self, source: Listed) -> DiscoveryStrategy:
        return source.namespace.make(lookup="pods", poll_interval_s=PERIOD_S)


async def test_two_nodes_find_each_other(namespace: Namespace) -> None:
    """Two nodes whose pods the server lists form a cluster."""
    await namespace.permit("pods")

    def start(name: str) -> Any:
        return foundation.start_cluster(
            name=name,
            cluster=namespace.make(lookup="pods", poll_interval_s=0.5),
            cookie="tests",
            transport="memory",
            handle_signals=False,
        )

    async with start("a") as one, start("b") as two:
        await namespace.put_pod("a", one.address)
        await namespace.put_pod("b", two.address)
        await eventually(lambda: len(one.members()) == len(two.members()) == 2)


async def test_one_line_starts_a_cluster_in_pods(namespace: Namespace, server: KubeApiServer) -> None:
    """A node that is not allowed to ask waits; then it waits for the other pod of two; then both are ready."""
    for name, host in PODS.items():
        await namespace.put_pod(name, f"{host}:4711")
    pods = {
        "FOUNDATION_CLUSTER": "kubernetes",
        "FOUNDATION_COOKIE": "tests",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "FOUNDATION_STRATEGIES__KUBERNETES__SERVICE_ACCOUNT": str(namespace.folder),
        "FOUNDATION_STRATEGIES__KUBERNETES__LOOKUP": "pods",
        "FOUNDATION_STRATEGIES__KUBERNETES__POLL_INTERVAL_S": "0.2",
    }
    async with playground(**pods) as ground, await Commands(ground).start("node", "--host", PODS["one"]) as one:
        await one.line("waits: kubernetes could not be asked yet", 30)
        await namespace.permit("pods")
        await one.line("waits: 1 of 2 nodes are up, which is not more than half", 30)
        assert await readiness(PODS["one"]) == 503
        async with await Commands(ground).start("node", "--host", PODS["two"]) as two:
            for node, host in ((one, PODS["one"]), (two, PODS["two"])):
                await node.line("ready", 30)
                assert await readiness(host) == 200
            async with await Commands(ground).start("status", "--host", PODS["one"]) as status:
                assert await status.end(30) == 0
                assert "2 nodes" in status.output
            two.send(signal.SIGTERM)
            assert await two.end() == 0
        await one.line("left")


PODS = {"one": "127.0.0.2", "two": "127.0.0.3"}


async def readiness(host: str) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{host}:8080/health/ready")).status_code
