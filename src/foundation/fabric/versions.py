"""The versions of what nodes say to each other: one number for the handshake, the packets and the frames. Pure.

A field that is added at the end of a message needs no new version: who does not know it ignores it. Anything else does.
Then raise ``newest``, and ``oldest`` a release later; read every version from the one to the other. On a direct link
write the version that was agreed on at its door; on the engine's routes, where nobody has agreed on any, the oldest.
``tests/fabric/recorded`` holds what each version that is spoken looks like.
"""

from __future__ import annotations

from typing import NamedTuple


class Versions(NamedTuple):
    """What a node speaks: from ``oldest`` to ``newest``, each of them."""

    newest: int
    oldest: int

    def __str__(self) -> str:
        return f"version {self.newest}" if self.newest == self.oldest else f"versions {self.oldest} to {self.newest}"

    def __contains__(self, version: object) -> bool:
        return isinstance(version, int) and self.oldest <= version <= self.newest

    def common(self, other: Versions) -> int | None:
        """Return the highest version that both speak."""
        highest = min(self.newest, other.newest)
        return highest if highest in self and highest in other else None


SPOKEN = Versions(newest=1, oldest=1)
"""What this release speaks. A packet has four bits for it: see :mod:`foundation.fabric.packet`."""
