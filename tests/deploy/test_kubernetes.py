"""The manifest for Kubernetes is what the strategy needs, no more, and fits together.

What can be known without Kubernetes is checked here: required fields as its published schema has them, references,
selectors, permissions. Whether the API server takes it, a test beside a real one tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.config import load_config
from foundation.discovery import make_strategy
from foundation.errors import ConfigurationError

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "kubernetes"
REQUIRED = {
    "ServiceAccount": ("v1", ()),
    "Secret": ("v1", ()),
    "Role": ("rbac.authorization.k8s.io/v1", ("rules",)),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", ("roleRef.apiGroup", "roleRef.kind", "roleRef.name", "subjects")),
    "Service": ("v1", ("spec.ports", "spec.selector")),
    "PodDisruptionBudget": ("policy/v1", ("spec.selector.matchLabels",)),
    "StatefulSet": (
        "apps/v1",
        (
            "spec.selector.matchLabels",
            "spec.serviceName",
            "spec.template.metadata.labels",
            "spec.template.spec.containers",
        ),
    ),
}


def documents() -> list[dict[str, Any]]:
    return [each for path in sorted(FOLDER.glob("*.yaml")) for each in yaml.load_all(path.read_text(), Unambiguous)]


class Unambiguous(yaml.SafeLoader):
    """Refuses a key that is there twice, of which a parser would silently take one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is there twice: {keys}"
        return super().construct_mapping(node, deep)


def only(kind: str) -> dict[str, Any]:
    (found,) = (document for document in documents() if document["kind"] == kind)
    return found


def at(document: dict[str, Any], path: str) -> Any:
    found: Any = document
    for key in path.split("."):
        found = found[key]
    return found


def pod() -> dict[str, Any]:
    found: dict[str, Any] = at(only("StatefulSet"), "spec.template.spec")
    return found


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", REQUIRED)
def test_required_fields_are_there(kind: str) -> None:
    """Each object has the version of its API, a name and the fields without which it is refused."""
    version, required = REQUIRED[kind]
    document = only(kind)
    assert document["apiVersion"] == version
    assert document["metadata"]["name"] == "foundation"
    assert all(at(document, path) for path in required)


def test_published_schema_is_kept() -> None:
    """Every object is valid by the schema that Kubernetes publishes, without a field that it does not know."""
    reason = "the published schema is not installed: pip install kubernetes-validate"
    validate = pytest.importorskip("kubernetes_validate", reason=reason)
    for document in documents():
        validate.validate(document, validate.latest_version(), strict=True)


def test_there_is_nothing_else() -> None:
    """Each kind is there once, and no other."""
    assert sorted(document["kind"] for document in documents()) == sorted(REQUIRED)


def test_no_namespace_is_fixed() -> None:
    """All objects go into the namespace that the user chose, so that none lands elsewhere."""
    assert all("namespace" not in document["metadata"] for document in documents())
    assert "namespace" not in only("RoleBinding")["subjects"][0]


def test_selectors_match_labels() -> None:
    """Service, budget, set and spreading all select the pods of the set."""
    labels = at(only("StatefulSet"), "spec.template.metadata.labels")
    selectors = [
        at(only("Service"), "spec.selector"),
        at(only("PodDisruptionBudget"), "spec.selector.matchLabels"),
        at(only("StatefulSet"), "spec.selector.matchLabels"),
        *(each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]),
    ]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    assert at(only("StatefulSet"), "spec.serviceName") == only("Service")["metadata"]["name"]


def test_rules_are_those_that_the_strategy_needs() -> None:
    """The role allows to list and watch what the strategy asks for by default, and nothing else; the pods have it."""
    strategy: Any = make_strategy("kubernetes")
    resource = strategy._resource("shop")
    rule = {"apiGroups": [resource.group], "resources": [resource.name], "verbs": ["list", "watch"]}
    assert only("Role")["rules"] == [rule]
    binding = only("RoleBinding")
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", only("Role")["metadata"]["name"])
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": only("ServiceAccount")["metadata"]["name"]}]
    assert pod()["serviceAccountName"] == only("ServiceAccount")["metadata"]["name"]
    assert pod()["automountServiceAccountToken"] is True


def test_strategy_finds_what_the_service_lists() -> None:
    """The default selector is a label of the service, the default port the name of one; pods not ready are listed."""
    strategy: Any = make_strategy("kubernetes")
    key, _, value = strategy._resource("shop").selector.partition("=")
    service = only("Service")
    assert service["metadata"]["labels"][key] == value
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert [port["name"] for port in service["spec"]["ports"]] == ["foundation", "session"]


def environment() -> dict[str, str]:
    """Return what the node is told, with something in the place of what Kubernetes fills in."""
    return {each["name"]: each.get("value", "pod-0") for each in container()["env"]}


def test_ports_fit_together() -> None:
    """What the service, the probes and the node's own configuration call a port is one of the container."""
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    for port in only("Service")["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"], "a headless service does not translate ports"
    config = load_config({}, environment() | {"FOUNDATION_COOKIE": "made by the user"})
    assert (config.fabric.port, config.fabric.session_port) == (ports["foundation"], ports["session"])
    for probe, path in (("livenessProbe", "/health/live"), ("readinessProbe", "/health/ready")):
        assert container()[probe]["httpGet"] == {"path": path, "port": "health"}
    assert "health" in ports


def test_leaving_has_time() -> None:
    """The pause before SIGTERM leaves most of the time for handing over."""
    program, seconds = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert int(seconds) * 4 <= pod()["terminationGracePeriodSeconds"]


def test_environment_is_a_configuration() -> None:
    """A node takes what the manifest sets, and refuses to start with the cookie that stands in the file."""
    reference = next(each for each in container()["env"] if each["name"] == "FOUNDATION_COOKIE")["valueFrom"]
    secret = only("Secret")
    assert reference == {"secretKeyRef": {"name": secret["metadata"]["name"], "key": "cookie"}}
    config = load_config({}, environment() | {"FOUNDATION_COOKIE": "made by the user"})
    assert config.strategies == ("kubernetes",)
    assert config.probe_port == next(port["containerPort"] for port in container()["ports"] if port["name"] == "health")
    replicas, away = at(only("StatefulSet"), "spec.replicas"), at(only("PodDisruptionBudget"), "spec.maxUnavailable")
    assert replicas / 2 < config.min_members <= replicas - away
    with pytest.raises(ConfigurationError, match="cookie"):
        load_config({}, environment() | {"FOUNDATION_COOKIE": secret["stringData"]["cookie"]})


def test_pods_are_confined() -> None:
    """The container runs without root, without rights it does not need, and writes to a folder of its own alone."""
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"] for mount in container()["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod()["volumes"]}
