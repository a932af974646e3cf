"""Values from the environment and from a folder of secrets: both are texts under a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from foundation.config.given import Given, Layer, Problems
from foundation.config.keys import NESTING, PREFIX, Key, full

CONFIG = "FOUNDATION_CONFIG"
PROFILE = "FOUNDATION_PROFILE"
SECRETS_DIR = "FOUNDATION_SECRETS_DIR"
DEFAULT_SECRETS_DIR = Path("/run/secrets/foundation")

_ABOUT_SOURCES = {CONFIG, SECRETS_DIR}
# What Kubernetes sets in each pod for a service whose name begins with "foundation".
_SERVICE = re.compile(
    r"FOUNDATION_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")
_TLS: Key = ("fabric", "tls")


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return what the variables say; an unknown one is found when keys are checked."""
    layer: Layer = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in _ABOUT_SOURCES or _is_service(name, text):
            continue
        key = full(key_of(name.removeprefix(PREFIX)))
        if text or key[-3:-1] != _TLS:  # an empty name of a file is none
            layer[key] = Given(text, "environment", name, name)
    return layer


def secrets_layer(folder: Path, problems: Problems) -> Layer:
    """Return what a folder with a file for each value says, as Docker and Kubernetes mount them."""
    if not folder.is_dir():
        problems.add(f"{SECRETS_DIR}: there is no folder {folder}")
        return {}
    from pydantic_settings import NestedSecretsSettingsSource  # noqa: PLC0415 - it takes 7 MB

    try:
        texts = NestedSecretsSettingsSource.load_secrets(folder.resolve())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "a file is not text in UTF-8"
        problems.add(f"{SECRETS_DIR}: the secrets in {folder} cannot be read: {why}")
        return {}
    layer: Layer = {}
    for name, text in texts.items():
        if any(part.startswith(".") for part in Path(name).parts):
            continue  # where Kubernetes keeps what the links point to
        key = full(key_of(re.sub(f"^{PREFIX}", "", name, flags=re.IGNORECASE).replace("/", NESTING)))
        layer[key] = Given(text, "secrets", str(folder / name), str(folder / name))
    return layer


def key_of(name: str) -> Key:
    """Take a name apart at each double underscore."""
    return tuple(name.lower().split(NESTING))


def _is_service(name: str, text: str) -> bool:
    return _SERVICE.fullmatch(name) is not None or (
        name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(text) is not None
    )
