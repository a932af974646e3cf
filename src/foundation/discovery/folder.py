"""A folder in which the living nodes of one cluster on one host keep a file each.

Consistency: the owner of a file holds an advisory lock on it as long as it lives, and the kernel drops the lock with
the process, also after a kill and across process namespaces. So a file whose lock can be had belongs to a dead node,
and whoever sees that removes it. A file is locked before it gets its name, hence nobody ever sees a living node's
file without its lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import warnings
import weakref
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from foundation.core.sources import clock
from foundation.errors import ConfigurationError, DiscoveryError

if sys.platform != "win32":
    import fcntl

MOST_BYTES = 64 * 1024
MOST_FILES = 20_000
SUFFIX = ".json"
UNNAMED = ".new"
FORGOTTEN_AFTER_S = 60.0

_open_files: weakref.WeakSet[OwnFile] = weakref.WeakSet()


def file_name(cluster: str) -> str:
    """Return a name for files that is safe everywhere and different for each cluster."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", cluster):
        return cluster
    readable = re.sub(r"[^a-z0-9_-]+", "-", cluster.lower())[:40].strip("-")
    return f"{readable}.{hashlib.sha256(cluster.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def running_folder() -> Path:
    """Return the folder of this user's running programs, which may have to be made; raises DiscoveryError."""
    import platformdirs  # noqa: PLC0415 - only where no other is set

    try:
        with warnings.catch_warnings():
            # It warns when it has to fall back, which is no concern of the user: all nodes fall back alike.
            warnings.simplefilter("ignore")
            return platformdirs.user_runtime_path("foundation")
    except OSError as error:
        message = f"there is no folder for running programs: {error}; set the option 'folder'"
        raise DiscoveryError(message) from error


def open_folder(path: Path) -> None:
    """Make the folder where it is missing, for this user alone; raises ConfigurationError if it is somebody else's."""
    if sys.platform == "win32":
        message = "the discovery strategy 'local' needs file locks, which this system does not have; use 'static'"
        raise ConfigurationError(message)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        message = f"the discovery folder {path} cannot be made: {error.strerror}"
        raise DiscoveryError(message) from error
    if not stat.S_ISDIR(found.st_mode):
        problem = "is not a folder"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to the user with the number {found.st_uid}, not to {os.geteuid()}"
    elif found.st_mode & 0o022:
        problem = "can be written by other users"
    else:
        return
    message = f"the discovery folder {path} {problem}; remove it or set another folder"
    raise ConfigurationError(message)


def living_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield node and content of each file whose owner lives; remove the files of the dead, leave what is not ours."""
    with os.scandir(path) as entries:
        names = [entry.name for entry in islice(entries, MOST_FILES)]
    for name in names:
        if name.endswith(SUFFIX) and (content := _read(path / name)) is not None:
            yield name.removesuffix(SUFFIX), content
        elif name.endswith(UNNAMED):
            _remove_forgotten(path / name)


def _read(path: Path) -> bytes | None:
    """Return the content of a living owner's file, else None."""
    try:
        # A symbolic link is not followed; a pipe does not block.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return None
        if _unlocked(handle):
            _remove(path, found)
            return None
        return os.read(handle, MOST_BYTES) if found.st_size <= MOST_BYTES else None
    except OSError:
        return None
    finally:
        os.close(handle)


def _unlocked(handle: int) -> bool:
    try:
        # Shared, so that several readers of one dead file do not take each other for its owner.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path, found: os.stat_result) -> None:
    """Unlink ``path`` if it is still the file that was found without a lock."""
    with contextlib.suppress(OSError):
        if os.path.samestat(path.lstat(), found):
            path.unlink()


def _remove_forgotten(path: Path) -> None:
    """Unlink what a node left that died before its file had a name."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if clock().wall() - found.st_mtime > FORGOTTEN_AFTER_S:
            _remove(path, found)


class OwnFile:
    """The file of this node: written at once or not at all, locked until closed."""

    def __init__(self, folder: Path, node: str, content: bytes) -> None:
        """Write it; raises DiscoveryError."""
        self._path = folder / f"{node}{SUFFIX}"
        self._handle = -1
        unnamed = folder / f"{node}{UNNAMED}"
        try:
            self._write(unnamed, content)
            unnamed.rename(self._path)
        except OSError as error:
            self.close_handle()
            with contextlib.suppress(OSError):
                unnamed.unlink()
            message = f"this node cannot be announced in {folder}: {error.strerror}"
            raise DiscoveryError(message) from error
        _open_files.add(self)

    def _write(self, unnamed: Path, content: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            unnamed.unlink()
        self._handle = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.write(self._handle, content) != len(content):
            raise OSError(0, "the file was not written completely")

    def is_there(self) -> bool:
        """Tell whether the file still has its place in the folder."""
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(self._handle))
        except OSError:
            return False

    def close(self) -> None:
        """Remove the file and give up the lock; safe to call twice."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                if self.is_there():
                    self._path.unlink()
            self.close_handle()

    def close_handle(self) -> None:
        """Close the file, and so give up the lock, but leave it where it is."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    @staticmethod
    def forget_all() -> None:
        """Close the handles in a forked child, where they would keep the locks of a dead parent."""
        for file in list(_open_files):
            file.close_handle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=OwnFile.forget_all)
