"""Say what to install when the library that a strategy stands on is absent."""

from __future__ import annotations

import re

from foundation.errors import MissingExtraError


def missing_extra(strategy: str, library: str) -> MissingExtraError:
    """Return the error to raise when ``library`` cannot be imported; the extra has the name of the strategy."""
    return MissingExtraError(
        f"the discovery strategy {strategy!r} needs {library}, which is not installed:"
        f' pip install "foundation[{strategy}]"'
    )


def not_installed(extra: str) -> list[str]:
    """Return the libraries of an extra that are not installed; none where nobody knows which those are."""
    from importlib.metadata import PackageNotFoundError, distribution, requires  # noqa: PLC0415 - slow to import

    try:
        wanted = requires("foundation") or []
    except PackageNotFoundError:  # the package was copied, not installed
        return []
    missing: list[str] = []
    for requirement in wanted:
        name, _, marker = requirement.partition(";")
        library = re.match(r"[A-Za-z0-9._-]+", name)
        if library is None or re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", marker) is None:
            continue
        try:
            distribution(library[0])
        except PackageNotFoundError:
            missing.append(library[0])
    return missing
