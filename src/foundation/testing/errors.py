"""What goes wrong in a test, other than the test."""

from __future__ import annotations

from foundation.errors import FoundationError


class UnsupportedFault(FoundationError, NotImplementedError):  # noqa: N818 - says what happened, as NodeDown does
    """This kind of cluster cannot bring about that fault; the message names one that can."""


class WaitFailed(FoundationError, AssertionError):  # noqa: N818
    """What was waited for did not come; the message says what was last seen, and what the nodes last printed."""


class SimulationError(FoundationError):
    """A simulated run went wrong."""


class StuckError(SimulationError):
    """A simulated run cannot go on; the message lists what every node waits for."""


class HostKilledError(SimulationError):
    """The simulated host was killed before it had finished that, or before it could begin."""


class NotSimulatedError(SimulationError, NotImplementedError):
    """Code under test asked its event loop for something that the simulation does not have."""
