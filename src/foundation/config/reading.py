"""Read every source, in the order in which they override each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.config.arguments import argument_layers
from foundation.config.checking import converted, known_only, number_problem, profile_problem
from foundation.config.detection import AUTO, Detection
from foundation.config.given import Given, Layer, Problems, overlay
from foundation.config.keys import Key, type_of
from foundation.config.profiles import profile_layer, strategy_layer
from foundation.config.settings import DEFAULT_PROFILE
from foundation.config.tls_folder import tls_in
from foundation.config.toml_file import find_file, read_file
from foundation.config.variables import CONFIG, DEFAULT_SECRETS_DIR, SECRETS_DIR, environment_layer, secrets_layer
from foundation.errors import ConfigurationError

_PROFILE: Key = ("profile",)
_CLUSTERS = "clusters"
_STRATEGIES: Key = ("cluster",)
_TLS: Key = ("fabric", "tls")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the sources say together."""

    layers: tuple[Layer, ...]
    problems: Problems
    profile: str
    """The profile that counts, once ``auto`` is resolved."""

    file: Path | None
    """The file that was read."""

    detection: Detection
    """What ``auto`` stands for."""

    def merged(self, cluster: str | None = None) -> Layer:
        """Return what counts for one of several clusters, or what is said for all of them."""
        said = overlay(layer if cluster is None else _with_cluster(layer, cluster) for layer in self.layers)
        said = self.detection.resolved(said, self.problems)
        strategies = said.get(_STRATEGIES)
        return overlay([strategy_layer(strategies.value), said]) if strategies else said

    def is_production(self, merged: Layer) -> bool:
        """Tell whether this is no laptop, by the profile or by a strategy that there is nowhere else."""
        return self.profile != DEFAULT_PROFILE or any(given.source == "strategy" for given in merged.values())

    def clusters(self) -> list[str]:
        """Return the names of the clusters that have a table, in the order of the sources."""
        return list(dict.fromkeys(key[1] for layer in self.layers for key in layer if key[0] == _CLUSTERS and key[1:]))


def read_sources(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Reading:
    """Gather what is given, with its problems."""
    problems = Problems()
    arguments = dict(arguments)
    file = _file(arguments.pop("config", None), environ, problems)
    records, values = argument_layers(arguments)
    layers = [
        read_file(file, problems) if file is not None else {},
        _secrets(environ, problems),
        records,
        environment_layer(environ),
        values,
    ]
    layers = [_checked(layer, problems) for layer in layers]
    given = overlay(layers).get(_PROFILE)
    profile = DEFAULT_PROFILE if given is None else str(given.value)
    detection = Detection(environ)
    profile = detection.profile() if profile == AUTO else profile
    return Reading((profile_layer(profile), *layers), problems, profile, file, detection)


def _file(argument: Any, environ: Mapping[str, str], problems: Problems) -> Path | None:  # noqa: ANN401
    """Return the file that was named; an empty name is none; without one, search."""
    named, label = (argument, "the argument config") if argument is not None else (environ.get(CONFIG), CONFIG)
    if named is None:
        return find_file()
    if not str(named):
        return None
    path = Path(named).expanduser()
    if path.is_file():
        return path
    problems.add(f"{label}: there is no file {path}")
    return None


def _secrets(environ: Mapping[str, str], problems: Problems) -> Layer:
    named = environ.get(SECRETS_DIR)
    if named is not None:
        return secrets_layer(Path(named).expanduser(), problems) if named else {}
    return secrets_layer(DEFAULT_SECRETS_DIR, problems) if DEFAULT_SECRETS_DIR.is_dir() else {}


def _checked(layer: Layer, problems: Problems) -> Layer:
    """Return what has a known key, each value in its type as far as that takes no library."""
    good: Layer = {}
    in_folder: Layer = {}
    for key, raw in known_only(layer, problems).items():
        if key == _TLS and isinstance(raw.value, str | Path):
            in_folder = _certificates(raw, problems)
            continue
        annotation = type_of(key)
        given = raw.with_value(converted(raw, annotation))
        problem = profile_problem(key, given) or number_problem(key, given, annotation)
        if problem is None:
            good[key] = given
        else:
            problems.add(problem)
    return in_folder | good


def _certificates(given: Given, problems: Problems) -> Layer:
    """Return the files that a folder holds, as if each had been named."""
    if not given.value:
        return {}
    try:
        found = tls_in(given.value)
    except ConfigurationError as error:
        problems.add(f"{given.label}: {error}")
        return {}
    names = ("certificate", "private_key", "authority")
    return {(*_TLS, name): given.with_value(getattr(found, name)) for name in names}


def _with_cluster(layer: Layer, cluster: str) -> Layer:
    """Put what is said for one cluster over what the same source says for all."""
    common = {key: given for key, given in layer.items() if key[0] != _CLUSTERS}
    own = {key[2:]: given for key, given in layer.items() if key[:2] == (_CLUSTERS, cluster) and key[2:]}
    return overlay([common, own])
