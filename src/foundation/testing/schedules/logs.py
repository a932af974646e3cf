"""What the library logs during a run: into the transcript, and the errors on a list."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from foundation.testing.simulation import Simulation

_LOGGERS = ("foundation", "asyncio")


class _Noting(logging.Handler):
    def __init__(self, simulation: Simulation, errors: list[str]) -> None:
        super().__init__(logging.INFO)
        self._simulation = simulation
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line; one that is too much for its own arguments is the library's fault too."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        if not self._simulation.transcript.is_sealed:
            self._simulation.note(text)
            if record.levelno >= logging.ERROR:
                self._errors.append(text)


@contextmanager
def noted_logs(simulation: Simulation) -> Generator[list[str]]:
    """Have what is logged noted in the transcript, and nowhere else; the list gets what is logged as an error."""
    errors: list[str] = []
    handler = _Noting(simulation, errors)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield errors
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
