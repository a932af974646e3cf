"""A value that must never be seen: not in a log, not in a traceback, not in a ``repr``."""

from __future__ import annotations

import hashlib
import hmac


class Secret:
    """Hold the cookie of a cluster; what leaves this object is a key or a proof derived from it.

    Of several lines the first is the cookie; the others are accepted from others too, while a new one is handed out.
    """

    __slots__ = ("_former", "_value")

    def __init__(self, value: str) -> None:
        first, *others = value.splitlines() or [""]
        self._value = first.encode(errors="surrogatepass")  # an error would show it
        self._former = tuple(Secret(other) for other in others if other)

    @property
    def accepted(self) -> tuple[Secret, ...]:
        """Those by which others may prove themselves: this one first."""
        return (self, *self._former)

    def __repr__(self) -> str:
        """Show that there is one, and nothing of it."""
        return "Secret('…')"

    def __bool__(self) -> bool:
        """Tell whether there is a secret at all."""
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied out."""
        message = "a secret is not pickled"
        raise TypeError(message)

    def prove(self, *parts: bytes) -> bytes:
        """Return the HMAC-SHA256 over ``parts``, each with its length, under this secret."""
        mac = hmac.new(self._value, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(4, "big"))
            mac.update(part)
        return mac.digest()
