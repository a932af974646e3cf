"""What can be tuned on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundation.core.backoff import Backoff


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Files in PEM with which a node encrypts what it says and shows that it may take part; they are read at start."""

    certificate: str
    """The node's certificate, followed by those between it and the authority, if there are any."""

    private_key: str
    """The key of that certificate, not encrypted."""

    authority: str
    """Whose certificates are believed. Best an authority for this cluster alone: whom it certifies, TLS lets in."""

    mutual: bool = True
    """Whether who dials must show a certificate too, not only who is dialed."""

    verify_names: bool = False
    """Whether a certificate must name the address that was dialed. It then has to name all addresses of its node."""


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

    tls: TlsOptions | None = None
    """Certificates for TLS on every connection to other nodes; without them nothing is encrypted. All nodes alike."""

    credentials_poll_s: float = 5.0
    """Seconds between two looks whether the files of the cookie and the certificates have changed."""

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

    direct_links: bool = True
    """Whether frames take a TCP connection of their own where one can be made; else they take Zenoh's routes."""

    window_bytes: int = 1 << 20
    """Bytes on their way to one node that it has not confirmed. More fills long links, less keeps queues short."""

    bulk_queue_s: float = 0.015
    """Seconds that the ``data`` channel may make others wait in the network. More fills a busy network harder."""

    queue_bytes: int = 64 << 20
    """Bytes that may wait for one node behind the window before a send is refused."""

    most_waiters: int = 10_000
    """How many senders may wait until there is room for one node; further ones are refused."""

    most_frame_bytes: int = 512 << 20
    """Bytes of the largest message. More takes larger arguments, less bounds what one message can cost."""

    stall_s: float = 1.0
    """Seconds without an acknowledgement after which the other side is asked what it has seen."""

    acknowledge_after_s: float = 0.05
    """Seconds after which what arrived is acknowledged when no data goes the other way. More saves packets."""

    redial: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, most_s=30.0, jitter=0.3))
    """Delays between two tries to make a direct link."""
