"""The end of a command that cannot do what it was asked to."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.errors import FoundationError


class CommandFailed(FoundationError):  # noqa: N818 - says what happened, as NodeDown does
    """A command ends with this message on stderr and with this exit code: 2 for bad input, 1 for anything else.

    ``details`` are further lines to show below it.
    """

    def __init__(self, message: str, exit_code: int = 1, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = tuple(details)
