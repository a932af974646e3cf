"""What Kubernetes tells every pod: its service account's namespace, token and authority, and how names are made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from foundation.errors import ConfigurationError, DiscoveryError

EXTRA = "kubernetes"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
CLUSTER_DOMAIN = "cluster.local"
MOST_BYTES = 1024 * 1024

_label = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def namespace_of(option: str | None, folder: str) -> str:
    """Return the namespace that was configured, else that of the pod; raises ConfigurationError where there is none."""
    if option is not None:
        return check_label(option, "namespace")
    path = Path(folder) / "namespace"
    try:
        return check_label(read_text(path), "namespace")
    except DiscoveryError as error:
        message = f"{error}; outside of a pod, set the option 'namespace'"
        raise ConfigurationError(message) from error


def cluster_domain_of(option: str | None, environment: Mapping[str, str] | None = None) -> str:
    """Return the domain of the cluster's services: configured, or ``CLUSTER_DOMAIN``, or what it mostly is."""
    known = os.environ if environment is None else environment
    return (option or known.get("CLUSTER_DOMAIN") or CLUSTER_DOMAIN).strip(".")


def service_domain(service: str, namespace: str, domain: str) -> str:
    """Return the name under which DNS knows a service."""
    return f"{service}.{namespace}.svc.{domain}"


def check_label(text: str, option: str) -> str:
    """Return ``text`` when Kubernetes could have given that name, else raise ConfigurationError."""
    if not _label.fullmatch(text):
        message = (
            f"the option {option!r} cannot be {text[:100]!r}: names in Kubernetes have up to 63 of a-z, 0-9 and '-', "
            "and neither begin nor end with '-'"
        )
        raise ConfigurationError(message)
    return text


def read_text(path: Path) -> str:
    """Return the content of a small file; raises DiscoveryError if it cannot be read or is empty."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("ascii").strip()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text"
        message = f"the file {path} cannot be read: {why}"
        raise DiscoveryError(message) from error
    if not text:
        message = f"the file {path} is empty"
        raise DiscoveryError(message)
    return text
