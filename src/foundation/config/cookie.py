"""The cookie that a user's nodes share when none is given: a file that only the user can read."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from foundation.core.secret import Secret
from foundation.errors import ConfigurationError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def cookie_file() -> Path:
    """Return where the cookie lies: in the user's folder for configuration."""
    import platformdirs  # noqa: PLC0415 - only needed when no cookie is given

    return platformdirs.user_config_path("foundation") / "cookie"


def own_cookie(path: Path | None = None) -> Secret:
    """Read the cookie, and make it at first use.

    Raises :class:`ConfigurationError` when others can read the file or it cannot be made.
    """
    path = path or cookie_file()
    try:
        return read_cookie(path) if path.exists() else _create(path)
    except OSError as error:
        message = (
            f"the cookie in {path} cannot be read or made ({error.strerror}); set FOUNDATION_COOKIE instead,"
            " alike on all nodes"
        )
        raise ConfigurationError(message) from None


def read_cookie(path: Path) -> Secret:
    """Read a file that holds a cookie; of several lines the others are those that were, or will be."""
    if os.name == "posix" and path.stat().st_mode & _OTHERS:
        message = f"other users may read the cookie in {path}; protect it: chmod 600 {path}"
        raise ConfigurationError(message)
    text = path.read_text().strip()
    if not text:
        message = f"the cookie in {path} is empty; remove the file to get a new one"
        raise ConfigurationError(message)
    return Secret(text)


def _create(path: Path) -> Secret:
    """Write a whole file and link it into place, so that of two first nodes one wins and both read the same."""
    import tempfile  # noqa: PLC0415 - loads what compresses archives, and is needed once on a machine

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".cookie-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
    return read_cookie(path)
