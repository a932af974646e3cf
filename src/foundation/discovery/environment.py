"""Where this program runs, and how nodes are found there: decided from variables and files, without asking anybody.

Each step has its evidence, so that a surprising choice can be understood from the log. Sources: what the kubelet, the
container engines, the agents of ECS and Consul, and the firmware of the clouds' machines document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Environment = Literal["kubernetes", "consul", "ecs", "ec2", "gcp", "container", "development"]

ROOT = Path("/")
_TOKEN = "var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - where it is
_VENDOR, _PRODUCT = "sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name"
_ENGINES = (".dockerenv", "run/.containerenv")


@dataclass(frozen=True, slots=True)
class Step:
    """One environment that was looked for."""

    environment: Environment
    is_it: bool
    evidence: str
    """What was found, or not found, in words."""

    def __str__(self) -> str:
        """Print as a line of a log."""
        return f"{self.environment}: {'yes' if self.is_it else 'no'}, {self.evidence}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What came of it."""

    environment: Environment
    strategies: tuple[str, ...]
    """The strategies of that environment that can be used; all are used."""

    fallback: tuple[str, ...]
    """Those to use as well while they find nobody."""

    steps: tuple[Step, ...]
    """All that was looked at, in the order of preference."""

    unusable: Mapping[str, str] = field(default_factory=dict[str, str])
    """Strategies that would have been better, and why they cannot be used."""

    def __str__(self) -> str:
        """Print as a line of a log."""
        fallback = f", with the fallback {', '.join(self.fallback)}" if self.fallback else ""
        return f"{self.environment}: nodes are found by {', '.join(self.strategies)}{fallback}"


def detect(
    environ: Mapping[str, str], root: Path | None = None, why_not: Callable[[str], str | None] = lambda _: None
) -> Choice:
    """Tell the environment of a program with these variables on a machine with these files.

    The first that fits counts, the most particular first: a machine of EC2 that is a node of Kubernetes is the latter.
    ``why_not`` says why a strategy cannot be used, if it cannot. Then the environment's fallback takes its place, then
    the strategies of the next environment that fits, and at last those that need nothing.
    """
    root = ROOT if root is None else root
    steps = [Step(environment, *look(environ, root)) for environment, look in _LOOKS.items()]
    steps.append(Step("development", *_otherwise(steps)))
    fitting: list[Environment] = [step.environment for step in steps if step.is_it]
    unusable: dict[str, str] = {}

    def usable(names: Iterable[str]) -> tuple[str, ...]:
        reasons = {name: why_not(name) for name in names}
        unusable.update({name: why for name, why in reasons.items() if why is not None})
        return tuple(name for name, why in reasons.items() if why is None)

    strategies, fallback = _STRATEGIES["development"]
    for environment in fitting:
        first, second = map(usable, _STRATEGIES[environment])
        if first or second:
            strategies, fallback = (first, second) if first else (second, ())
            break
    return Choice(fitting[0], strategies, fallback, tuple(steps), unusable)


def _kubernetes(environ: Mapping[str, str], root: Path) -> tuple[bool, str]:
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        return False, "KUBERNETES_SERVICE_HOST is not set"
    if not (root / _TOKEN).is_file():
        return False, f"KUBERNETES_SERVICE_HOST is {host}, but there is no token of a service account at /{_TOKEN}"
    return True, f"KUBERNETES_SERVICE_HOST is {host}, and there is a token of a service account"


def _consul(environ: Mapping[str, str], _root: Path) -> tuple[bool, str]:
    address = environ.get("CONSUL_HTTP_ADDR", "")
    return bool(address), f"CONSUL_HTTP_ADDR is {address or 'not set'}"


def _ecs(environ: Mapping[str, str], _root: Path) -> tuple[bool, str]:
    is_set = bool(environ.get("ECS_CONTAINER_METADATA_URI_V4"))
    return is_set, f"ECS_CONTAINER_METADATA_URI_V4 is {'set' if is_set else 'not set'}"


def _ec2(_environ: Mapping[str, str], root: Path) -> tuple[bool, str]:
    vendor = _read(root / _VENDOR)
    return vendor == "Amazon EC2", f"the vendor of the machine is {vendor or 'not told'}"


def _gcp(_environ: Mapping[str, str], root: Path) -> tuple[bool, str]:
    product = _read(root / _PRODUCT)
    return product == "Google Compute Engine", f"the machine calls itself {product or 'nothing'}"


def _container(environ: Mapping[str, str], root: Path) -> tuple[bool, str]:
    found = [f"there is /{name}" for name in _ENGINES if (root / name).exists()]
    if engine := environ.get("container"):
        found.append(f"the variable container is {engine}")
    if environ.get("KUBERNETES_SERVICE_HOST"):
        found.append("KUBERNETES_SERVICE_HOST is set, as in every pod")
    return bool(found), found[0] if found else "no container engine has left its file or its variable"


def _otherwise(steps: list[Step]) -> tuple[bool, str]:
    first = next((step.environment for step in steps if step.is_it), None)
    return first is None, "it is nothing else" if first is None else f"it is {first}"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


_LOOKS: dict[Environment, Callable[[Mapping[str, str], Path], tuple[bool, str]]] = {
    "kubernetes": _kubernetes,
    "consul": _consul,
    "ecs": _ecs,
    "ec2": _ec2,
    "gcp": _gcp,
    "container": _container,
}
_STRATEGIES: dict[Environment, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "kubernetes": (("kubernetes",), ("kubernetes_dns",)),
    "consul": (("consul",), ("gossip",)),
    "ecs": (("aws",), ("gossip",)),
    "ec2": (("aws",), ("gossip",)),
    "gcp": (("gcp",), ("gossip",)),
    "container": (("mdns",), ("gossip",)),
    "development": (("local", "mdns"), ()),
}
"""With their fallback. What a strategy has to be told besides, such as tags, only the user knows."""
