"""What happened in a simulated run: a short list to read, and a digest of all of it to compare two runs by."""

from __future__ import annotations

import hashlib
from collections import deque

_MOST_KEPT = 10_000


class Transcript:
    """The last events of a run in the order in which they happened.

    The digest covers every event, also those that are too many to be kept and those too small to be shown.
    """

    def __init__(self, header: str, *, most_kept: int = _MOST_KEPT) -> None:
        """``header`` says what it takes to repeat the run; it is shown, and no part of the digest."""
        self.header = header
        self._events: deque[tuple[float, str, str]] = deque(maxlen=most_kept)
        self._hash = hashlib.sha256()
        self._noted = 0
        self._is_sealed = False

    def note(self, at_s: float, node: str, text: str) -> None:
        """Keep an event: virtual time in seconds, the node it happened at, and what it was."""
        if self._is_sealed:
            return
        self._noted += 1
        self._events.append((at_s, node, text))
        self.mix(at_s, node, text)

    def mix(self, at_s: float, node: str, text: str) -> None:
        """Have an event counted in the digest alone."""
        if not self._is_sealed:
            self._hash.update(f"{at_s!r} {node} {text}\n".encode())

    @property
    def is_sealed(self) -> bool:
        """Tell whether the run is over."""
        return self._is_sealed

    def seal(self) -> None:
        """Take up nothing more: the run is over."""
        self._is_sealed = True

    def digest(self) -> str:
        """Return the SHA-256 of all events until now, in hexadecimal digits."""
        return self._hash.hexdigest()

    @property
    def events(self) -> tuple[tuple[float, str, str], ...]:
        """The events that are kept: virtual time in seconds, node, text."""
        return tuple(self._events)

    def __str__(self) -> str:
        lines = [self.header]
        if forgotten := self._noted - len(self._events):
            lines.append(f"  ... {forgotten} earlier events")
        width = max((len(node) for _, node, _ in self._events), default=0)
        lines += [f"{at_s:14.6f}  {node:<{width}}  {text}" for at_s, node, text in self._events]
        return "\n".join(lines)
