"""The port to the engine that carries a cluster: a thin session, in the words of Zenoh.

Everything above it (who is present, frames, windows, introductions) runs unchanged over the real engine and over the
one in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.fabric.options import TlsOptions

Undo = Callable[[], None]
"""Take back what was declared; safe to call twice."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs to know to be opened."""

    node: NodeId
    namespace: str
    cookie: Secret
    host: str
    port: int
    lease_s: float
    open_timeout_s: float
    introduction_timeout_s: float
    tls: TlsOptions | None = None
    """With it, all links of the session are TLS, and none is opened or taken that is not."""


class TransportSession(Protocol):
    """An open session. All methods and callbacks belong to the event loop that opened it.

    Once the session was lost, its methods raise :class:`FabricLostError`.
    """

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where other sessions can reach this one, in the engine's own notation."""
        ...

    def put(self, key: str, payload: bytes) -> None:
        """Send to whoever subscribes to ``key``; in order for one key.

        May block once more than some megabytes are under way to one receiver, so the caller keeps below that.
        """
        ...

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """Have ``receive(key, payload)`` called for everything put under ``expression``."""
        ...

    def declare(self, token: str) -> Undo:
        """Hold a liveliness token: others see it while this session lives and can be reached.

        This one, and taking it back, may also be called in another thread while the event loop stands still.
        """
        ...

    def watch(self, expression: str, changed: Callable[[str, bool], None]) -> Undo:
        """Have ``changed(token, is_there)`` called for tokens under ``expression``, those already there first."""
        ...

    async def introduce(self, node: NodeId, endpoints: Sequence[str]) -> None:
        """Make this session and the one of ``node``, which listens at ``endpoints``, know each other.

        Returns once a link between them is up; :class:`UnreachableError` when that did not happen in time.
        """
        ...

    async def close(self) -> None:
        """End the session: tokens go, links close, no callback comes any more."""
        ...


class Transport(Protocol):
    """An engine. Each file in ``transports/`` defines one as ``Transport``."""

    async def open(self, settings: SessionSettings, lost: Callable[[str], None]) -> TransportSession:
        """Open a session within ``open_timeout_s``.

        ``lost(cause)`` is called when the session ends without :meth:`TransportSession.close`. Raises
        :class:`ListenError` when the address cannot be bound.
        """
        ...
