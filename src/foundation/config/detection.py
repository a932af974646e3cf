"""What ``auto`` stands for: the strategies and the profile of the environment in which the program runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from typing import Any, TypeGuard

from foundation.config.checking import converted
from foundation.config.given import Given, Layer, Problems, nested
from foundation.config.keys import Key, hints_of
from foundation.discovery.catalog import STRATEGIES, make_strategy
from foundation.discovery.environment import Choice, detect
from foundation.discovery.extras import not_installed
from foundation.errors import FoundationError

logger = logging.getLogger(__name__)

AUTO = "auto"
_CLUSTER: Key = ("cluster",)
_FALLBACK: Key = ("fallback",)
_PROFILE: Key = ("profile",)


class Detection:
    """Looks where the program runs, if somebody asks for that."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Look at nothing yet."""
        self._environ = environ

    def profile(self) -> str:
        """Return the profile that ``auto`` stands for: everywhere but on a developer's machine it is production."""
        return "development" if detect(self._environ).environment == "development" else "production"

    def choice(self, merged: Layer) -> Choice:
        """Return the strategies of the environment that can be used with the options that were given."""
        return detect(self._environ, why_not=lambda name: why_not(name, merged))

    def resolved(self, merged: Layer, problems: Problems) -> Layer:
        """Return the same with what ``auto`` stands for in its place; a fallback that was given stays."""
        resolved = dict(merged)
        if _says_auto(given := merged.get(_PROFILE)):
            choice = detect(self._environ)
            resolved[_PROFILE] = _detected(given, self.profile(), choice)
        if _says_auto(given := merged.get(_FALLBACK)):
            problems.add(f"{given.label}: there is no strategy {AUTO!r} for a fallback; write cluster = {AUTO!r}")
        if _says_auto(given := merged.get(_CLUSTER)):
            choice = self.choice(merged)
            names = [name for each in given.value for name in (choice.strategies if each == AUTO else (each,))]
            resolved[_CLUSTER] = _detected(given, tuple(dict.fromkeys(names)), choice)
            if _FALLBACK not in merged:
                resolved[_FALLBACK] = _detected(given, choice.fallback, choice)
        return resolved

    def log(self, merged: Layer) -> None:
        """Say what was looked at, and what came of it, if anything in ``merged`` was detected."""
        detected = [key for key in (_PROFILE, _CLUSTER) if key in merged and merged[key].source == "detected"]
        if not detected:
            return
        choice = self.choice(merged)
        for step in choice.steps:
            logger.info("environment: %s", step)
        if _PROFILE in detected:
            logger.info("environment: %s, so the profile is %s", choice.environment, merged[_PROFILE].value)
        if _CLUSTER in detected:
            for name, why in choice.unusable.items():
                logger.warning(
                    "environment: it is %s, but %s is not used to find nodes: %s", choice.environment, name, why
                )
            logger.log(logging.WARNING if choice.unusable else logging.INFO, "environment: %s", choice)


def _says_auto(given: Given | None) -> TypeGuard[Given]:
    return given is not None and (given.value == AUTO or (isinstance(given.value, tuple) and AUTO in given.value))


def _detected(given: Given, value: Any, choice: Choice) -> Given:  # noqa: ANN401 - as the key has it
    return replace(given, value=value, source="detected", place=f"detected: {choice.environment}")


def why_not(name: str, merged: Layer) -> str | None:
    """Say why a node could not use a strategy with the options that were given, or return None."""
    try:
        make_strategy(name, _options(name, merged))
    except FoundationError as error:
        return str(error)
    missing = not_installed(name)
    if not missing:
        return None
    return f'it needs {" and ".join(missing)}, not installed here: pip install "foundation[{name}]"'


def _options(name: str, merged: Layer) -> dict[str, Any]:
    record = getattr(STRATEGIES.find(name), "Options", None)
    hints = hints_of(record) if isinstance(record, type) and is_dataclass(record) else {}
    return nested(
        {
            key[2:]: given.with_value(converted(given, hints[key[2]])) if len(key) == 3 and key[2] in hints else given  # noqa: PLR2004
            for key, given in merged.items()
            if key[:2] == ("strategies", name) and len(key) > 2  # noqa: PLR2004
        }
    )
