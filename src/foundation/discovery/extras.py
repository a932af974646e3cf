"""Say what to install when the library that a strategy stands on is absent."""

from __future__ import annotations

from foundation.errors import MissingExtraError


def missing_extra(strategy: str, library: str) -> MissingExtraError:
    """Return the error to raise when ``library`` cannot be imported; the extra has the name of the strategy."""
    return MissingExtraError(
        f"the discovery strategy {strategy!r} needs {library}, which is not installed:"
        f' pip install "foundation[{strategy}]"'
    )
