"""What became of a change, for people and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LIVE = "live"
"""The node goes by the value."""

NEEDS_RESTART = "needs restart"
"""The node has the value, and goes by it once it has been restarted while others run."""

UNREACHABLE = "unreachable"
"""The node was not asked; it gets the value when it is back."""

UNCONFIRMED = "unconfirmed"
"""The node promised to take the value and did not confirm in time that it has; it gets it all the same."""

REFUSED = "refused: "
"""The node came later and cannot take the value: it keeps its own. What follows says why."""

FAILED = "failed: "
"""The node could not go by the value. What follows says why."""


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of one key."""

    key: str
    value: Any
    """The value in its type; ``"none"`` for a value of None; None when each node is back at its own configuration."""

    nodes: dict[str, str]
    """By name of the node: ``live``, ``needs restart``, ``unreachable`` or ``unconfirmed``."""

    note: str = ""
    """For whom it is live, or why it needs a restart."""

    def __str__(self) -> str:
        """Print in one line."""
        return f"{as_text(self.key, self.value)}: {summary(self.nodes)}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class ReconfigurationReport:
    """What became of a change: every key of it holds in the cluster."""

    changes: list[KeyReport]

    @property
    def needs_restart(self) -> list[str]:
        """The keys that some node takes only when it is restarted."""
        return [change.key for change in self.changes if NEEDS_RESTART in change.nodes.values()]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Print a line for each key."""
        return "\n".join(map(str, self.changes))


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that was said at run time and holds."""

    key: str
    value: Any
    """The value in its type; ``"none"`` for a value of None."""

    node: str
    """The name of the node on which it was said."""

    at: float
    """When, in seconds since 1970, by the clock of that node."""

    nodes: dict[str, str]
    """By name of the member, how it goes by it: ``live``, ``needs restart``, ``refused: ...``, ``failed: ...``, or
    ``unconfirmed`` when nothing has been heard."""

    def __str__(self) -> str:
        """Print in one line."""
        return f"{as_text(self.key, self.value)}: {summary(self.nodes)}"


def as_text(key: str, value: Any) -> str:  # noqa: ANN401 - of the type of the key
    """Write a key and its value as on the command line."""
    if value is None:
        return f"{key} is taken back"
    return f"{key} = {('false', 'true')[value] if isinstance(value, bool) else value}"


def summary(nodes: dict[str, str]) -> str:
    """Say in how many ways nodes go by a value, and which nodes are not like most."""
    by_state: dict[str, list[str]] = {}
    for node, state in sorted(nodes.items()):
        by_state.setdefault(state, []).append(node)
    if len(by_state) == 1:
        return f"{next(iter(by_state))} on {', '.join(sorted(nodes))}"
    return "; ".join(f"{state} on {', '.join(names)}" for state, names in by_state.items()) or "no member is in"
