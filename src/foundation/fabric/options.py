"""What can be tuned on the wire."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FabricOptions:
    """How this node listens, and how long it waits for others."""

    transport: str = "zenoh"
    """Which engine carries the cluster: ``zenoh``, or ``memory`` for nodes in one program."""

    host: str = "127.0.0.1"
    """Address to listen on. The default is for one machine; ``0.0.0.0`` lets other machines in (with a cookie)."""

    port: int = 0
    """TCP port of the door, where others introduce themselves; 0 takes any free one."""

    session_port: int = 0
    """TCP port of the Zenoh session; 0 takes any free one. Open both in a firewall."""

    lease_s: float = 3.0
    """Seconds of silence after which a link is given up. Less notices a cut sooner, more forgives a slow network."""

    open_timeout_s: float = 5.0
    """Seconds to wait for the session to open before the start fails."""

    introduction_timeout_s: float = 2.0
    """Seconds to wait until two nodes have met. More suits slow networks, less retries sooner."""

    handshake_timeout_s: float = 3.0
    """Seconds a stranger at the door has to prove itself; also the wait for an answer at another node's door."""

    max_strangers: int = 128
    """How many unproven connections may stand at the door at once; further ones are closed."""

    window_bytes: int = 1 << 20
    """Bytes on their way to one node that it has not confirmed. More fills long links, less keeps queues short."""

    queue_bytes: int = 64 << 20
    """Bytes that may wait for one node behind the window before a send is refused."""
