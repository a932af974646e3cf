"""What can be tuned in the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RegistryOptions:
    """Each value says what it means, in which unit, and what more and less of it does."""

    register_timeout_s: float = 5.0
    """Seconds that a registration may wait for the members to agree on who is in. More outlasts longer disturbances."""

    look_up_timeout_s: float = 1.0
    """Seconds that the home of a name has to say whose it is, when this node has not heard of it. Less fails sooner."""

    retry_s: float = 0.01
    """Seconds after which a claim is made again that met a node with another view; doubled each time."""

    max_drift_s: float = 60.0
    """A claim stamped so many seconds in the future is not heard. More tolerates wronger clocks, whose nodes then lose
    conflicts; less has a node with a slightly wrong clock complain."""
