"""What goes wrong in a test, other than the test."""

from __future__ import annotations

from foundation.errors import FoundationError


class UnsupportedFault(FoundationError, NotImplementedError):  # noqa: N818 - says what happened, as NodeDown does
    """This kind of cluster cannot bring about that fault; the message names one that can."""


class WaitFailed(FoundationError, AssertionError):  # noqa: N818
    """What was waited for did not come; the message says what was last seen, and what the nodes last printed."""
