"""How long a store keeps a node that is not heard of any more."""

from __future__ import annotations

from foundation.errors import ConfigurationError

MOST_TTL_S = 86_400.0


def check_heartbeat(strategy: str, ttl_s: float, poll_interval_s: float) -> None:
    """Refuse a time to live that one missed lookup would end: each lookup is also the heartbeat of its node."""
    if not 0 < poll_interval_s <= ttl_s / 2 or ttl_s > MOST_TTL_S:
        message = (
            f"the discovery strategy {strategy!r} cannot keep a node for ttl_s={ttl_s:g} with"
            f" poll_interval_s={poll_interval_s:g}: ttl_s must be at least twice as long, and a day at most"
        )
        raise ConfigurationError(message)
