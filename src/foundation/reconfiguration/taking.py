"""What was said at run time, as one node has heard it, and how the node goes by it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from foundation.config import Config
from foundation.config.changes import SECTIONS, changed, checked_changes, is_live, plain, value_of
from foundation.core.in_force import put_in_force
from foundation.errors import ArgumentError, ConfigurationError
from foundation.reconfiguration.report import FAILED, LIVE, NEEDS_RESTART, REFUSED, as_text
from foundation.reconfiguration.rows import ROW, SETTINGS, SettingsRow, Written, newer
from foundation.replication import Change, Replication

logger = logging.getLogger(__name__)


def started_with(own: Config, heard: Mapping[str, Written]) -> Config:
    """Return what a node goes by from its start that has heard this before; without what it cannot take."""
    for key, written in heard.items():
        with suppress(ConfigurationError):
            values = checked_changes({key: written.value}, own)
            own = changed(own, {key: value for key, value in values.items() if value is not None})
    return own


class Taking:
    """Takes what is newer, from whomever it comes, lets the parts of the node go by it, and passes it on."""

    def __init__(self, own: Config, shared: Config, replication: Replication, heard: Mapping[str, Written]) -> None:
        """Begin with what the sources say of this node, the records that its parts share, and what was heard before."""
        self._own = own
        self._started = started_with(own, heard)
        self.config = self._started
        """What is in force."""
        self.known: dict[str, Written] = {}
        self.states: dict[str, str] = {}
        self.listeners: list[Callable[[], None]] = []
        """Called when other options are in force, for parts that would notice too late by themselves."""
        self.watchers: list[Callable[[], None]] = []
        """Called when any node has told something."""
        self._shared = shared
        self._replication = replication
        replication.watch(SETTINGS, self._changed)
        self.take(heard)

    def take(self, heard: Mapping[str, Written]) -> None:
        """Go by what is newer than what is known; what cannot be gone by is known all the same, with the reason."""
        fresh = newer(self.known, heard)
        if not fresh:
            return
        self.known |= fresh
        self._go_by_them()
        for key, written in fresh.items():
            said = f"{as_text(key, written.value)}, as was said on {written.node}"
            level = logging.WARNING if self.states[key].startswith((REFUSED, FAILED)) else logging.INFO
            logger.log(level, "%s: at run time %s: %s", self._own.name, said, self.states[key])
        if self._own.observer:  # which is gone soon, and whom nobody counts on
            return
        try:
            self._replication.write(ROW, SettingsRow(dict(self.known), dict(self.states)))
        except ArgumentError:
            logger.exception("%s: so much was said at run time that it cannot be passed on", self._own.name)

    def state(self, key: str, value: Any) -> str:  # noqa: ANN401 - of the type of the key
        """Return how this node would go by a typed value; None takes back what was said."""
        if is_live(key):
            return LIVE
        wanted = self._own if value is None else changed(self._own, {key: value})
        return LIVE if value_of(wanted, key) == value_of(self._started, key) else NEEDS_RESTART

    @property
    def needs_restart(self) -> bool:
        """Whether something was said that this node goes by only when it is started with it."""
        return NEEDS_RESTART in self.states.values()

    def _changed(self, changes: list[Change]) -> None:
        for owner, _, _, row in changes:
            if owner != self._replication.replica.me and isinstance(row, SettingsRow):
                self.take(row.written)
        for watcher in self.watchers:
            watcher()

    def _values(self) -> dict[str, Any]:
        """Return the values that this node can take; of the others keep the reason."""
        values: dict[str, Any] = {}
        for key, written in self.known.items():
            try:
                values |= checked_changes({key: written.value}, self._own)
            except ConfigurationError as error:
                self.states[key] = f"{REFUSED}{error}"
        return values

    def _go_by_them(self) -> None:
        values = self._values()
        self.states |= {key: self.state(key, value) for key, value in values.items()}
        live = {key: values[key] for key in values if is_live(key)}
        before = self.config
        self._put_in_force(self._with(live))
        try:
            for listener in self.listeners:
                listener()
        except Exception as error:
            logger.exception("%s: a part cannot go by what was said at run time", self._own.name)
            self.states |= dict.fromkeys(live, f"{FAILED}{type(error).__name__}: {error}")
            self._put_in_force(before)

    def _with(self, live: Mapping[str, Any]) -> Config:
        """Return what the node was started with, and these values, or its own where they were taken back."""
        own = {key: plain(value_of(self._own, key)) for key, value in live.items() if value is None}
        return changed(self._started, {**live, **own})

    def _put_in_force(self, config: Config) -> None:
        self.config = config
        for section in SECTIONS:
            put_in_force(getattr(self._shared, section), getattr(config, section))
