"""What is examined: a node that would be started here now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.config import Config
from foundation.config.config import LOOPBACK
from foundation.config.given import Layer
from foundation.config.loading import check, choose, preview, settings_of
from foundation.config.reading import Reading, read_sources
from foundation.config.settings import Settings
from foundation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Subject:
    """The configuration of that node, as far as it can be used."""

    reading: Reading
    merged: Layer
    problems: tuple[str, ...]
    """What is wrong with it."""

    settings: Settings
    """Its values; the defaults where it is wrong."""

    config: Config | None
    """What the node would go by; None where something keeps it from starting."""

    refusal: str
    """What keeps it, besides the problems."""

    ntp: str | None
    """A server that knows what time it is, if one was named."""

    @property
    def listens_to_others(self) -> bool:
        """Whether other machines are to reach the node."""
        return self.settings.fabric.host not in LOOPBACK

    @property
    def strategies(self) -> tuple[str, ...]:
        """The names of the strategies that a start begins with."""
        named = self.merged["cluster",].value if ("cluster",) in self.merged else self.settings.cluster
        return (*named, "static") if self.settings.peers and "static" not in named else tuple(named)

    @property
    def fallback(self) -> tuple[str, ...]:
        """The names of those to fall back to."""
        return tuple(self.merged["fallback",].value if ("fallback",) in self.merged else self.settings.fallback)


def subject_of(given: Mapping[str, Any], environ: Mapping[str, str], ntp: str | None) -> Subject:
    """Read the configuration, and take note of what is wrong instead of raising it."""
    found = check(read_sources(given, environ))
    reading = read_sources(given, environ)
    merged = choose(reading)
    settings = settings_of(merged, reading.problems)
    problems = tuple(dict.fromkeys([*found, *reading.problems.texts()]))
    config, refusal = None, ""
    if settings is not None and not problems:
        try:
            config = preview(reading)
        except ConfigurationError as error:
            refusal = str(error)
    return Subject(reading, merged, problems, settings or Settings(), config, refusal, ntp)
