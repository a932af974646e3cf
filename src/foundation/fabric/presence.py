"""Who is present, read from liveliness tokens. Pure.

A node that changes its facts first declares a token with a higher version, then takes the old one back. So it is
present as long as at least one of its tokens is, and its facts are those of the highest version.
"""

from __future__ import annotations

from foundation.core.identity import NodeId
from foundation.fabric.keys import Presence

_MOST_TOKENS = 16


class PresenceTable:
    """The tokens seen so far."""

    def __init__(self) -> None:
        self._tokens: dict[NodeId, dict[int, bytes]] = {}

    def __contains__(self, node: NodeId) -> bool:
        return node in self._tokens

    def nodes(self) -> set[NodeId]:
        """Return who is present."""
        return set(self._tokens)

    def facts(self) -> dict[NodeId, bytes]:
        """Return the newest facts of each node."""
        return {node: tokens[max(tokens)] for node, tokens in self._tokens.items()}

    def appeared(self, token: Presence) -> bool:
        """Note a token; return whether the node's facts are now what it says."""
        tokens = self._tokens.setdefault(token.node, {})
        tokens[token.version] = token.facts
        newest = max(tokens)
        if len(tokens) > _MOST_TOKENS:
            del tokens[min(tokens)]
        return newest == token.version

    def vanished(self, token: Presence) -> bool:
        """Forget a token; return whether the node is gone with it."""
        tokens = self._tokens.get(token.node)
        if tokens is None:
            return False
        tokens.pop(token.version, None)
        if tokens:
            return False
        del self._tokens[token.node]
        return True
