"""Where a program runs, told from its variables and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.discovery.environment import detect

TOKEN = "var/run/secrets/kubernetes.io/serviceaccount/token"
VENDOR, PRODUCT = "sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name"
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def put(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("environ", "files", "environment", "strategy"),
    [
        ({}, {}, "development", "local"),
        (IN_CLUSTER, {TOKEN: "a token", VENDOR: "Amazon EC2\n"}, "kubernetes", "kubernetes"),
        (IN_CLUSTER, {VENDOR: "Amazon EC2\n"}, "ec2", "aws"),
        ({"CONSUL_HTTP_ADDR": "127.0.0.1:8500"}, {VENDOR: "Amazon EC2\n"}, "consul", "consul"),
        ({"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/1"}, {".dockerenv": ""}, "ecs", "aws"),
        ({}, {PRODUCT: "Google Compute Engine\n"}, "gcp", "gcp"),
        ({}, {PRODUCT: "Standard PC", VENDOR: "QEMU", "run/.containerenv": ""}, "container", "mdns"),
        ({"KUBERNETES_SERVICE_HOST": ""}, {VENDOR: ""}, "development", "local"),
        (IN_CLUSTER, {}, "container", "mdns"),
        ({"container": "podman"}, {}, "container", "mdns"),
    ],
)
def test_the_most_particular_environment_counts(
    tmp_path: Path, environ: dict[str, str], files: dict[str, str], environment: str, strategy: str
) -> None:
    """Every place that was looked at has its evidence, also those that were not chosen."""
    choice = detect(environ, put(tmp_path, files))
    assert (choice.environment, choice.strategies[0]) == (environment, strategy)
    assert [step.environment for step in choice.steps] == [
        "kubernetes", "consul", "ecs", "ec2", "gcp", "container", "development",
    ]  # fmt: skip
    assert all(step.evidence for step in choice.steps)
    assert next(step.environment for step in choice.steps if step.is_it) == environment


def test_the_evidence_is_told_in_words(tmp_path: Path) -> None:
    """A pod without a service account is told from a machine that is none."""
    lines = [str(step) for step in detect(IN_CLUSTER, tmp_path).steps]
    assert lines[0].startswith("kubernetes: no, KUBERNETES_SERVICE_HOST is 10.96.0.1, but there is no token")
    assert lines[1] == "consul: no, CONSUL_HTTP_ADDR is not set"
    assert lines[-2] == "container: yes, KUBERNETES_SERVICE_HOST is set, as in every pod"
    assert str(detect({}, tmp_path).steps[-1]) == "development: yes, it is nothing else"
    steps = detect({"CONSUL_HTTP_ADDR": "agent:8500"}, tmp_path).steps
    assert str(steps[-1]) == "development: no, it is consul"


def test_what_cannot_be_used_is_passed_over(tmp_path: Path) -> None:
    """The environment's fallback takes its place, else the next environment that fits, else what needs nothing."""
    files = put(tmp_path, {VENDOR: "Amazon EC2\n", ".dockerenv": ""})

    def chosen(*unusable: str) -> tuple[str, tuple[str, ...], tuple[str, ...], set[str]]:
        choice = detect({}, files, lambda name: "it is not to be" if name in unusable else None)
        return choice.environment, choice.strategies, choice.fallback, set(choice.unusable)

    assert chosen() == ("ec2", ("aws",), ("gossip",), set())
    assert chosen("gossip") == ("ec2", ("aws",), (), {"gossip"})
    assert chosen("aws") == ("ec2", ("gossip",), (), {"aws"})
    assert chosen("aws", "gossip") == ("ec2", ("mdns",), (), {"aws", "gossip"})
    everything = ("aws", "gossip", "mdns", "local")
    assert chosen(*everything)[:2] == ("ec2", ("local", "mdns"))
