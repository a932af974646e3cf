"""How a worker tells the program that started it that it takes part: by a byte in a pipe."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Self


class Readiness:
    """The pipe of one worker, for the program that starts it; a context manager.

    Where a program cannot hand on a pipe, which is on Windows, every worker is taken to have been ready.
    """

    def __init__(self) -> None:
        self._is_known = os.name == "posix"
        self._reads, self._writes = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._reads)
        os.close(self._writes)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the worker has to inherit."""
        return (self._writes,) if self._is_known else ()

    @property
    def arguments(self) -> list[str]:
        """What to add to the worker's command line."""
        return ["--ready-fd", str(self._writes)] if self._is_known else []

    def was_told(self) -> bool:
        """Tell whether the worker was ready at some time."""
        if not self._is_known:
            return True
        os.set_blocking(self._reads, False)
        try:
            return bool(os.read(self._reads, 1))
        except BlockingIOError:
            return False


def tell_ready(descriptor: int) -> None:
    """Say that this worker takes part."""
    with suppress(OSError):  # nobody wants to know any more
        os.write(descriptor, b"!")
        os.close(descriptor)
