"""A process whose methods run in other programs; those import this file, so it is small."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.processes.decorators import offload
from foundation.processes.process import Process


class OddError(Exception):
    """Takes what unpickling would not give it."""

    def __init__(self, *, left: int) -> None:
        super().__init__(f"{left} left")
        self.left = left


@dataclass
class Job:
    """Something to work on."""

    numbers: list[int]
    factor: int = 1


class Cruncher(Process):
    """Works elsewhere."""

    async def crunch_within(self, job: Job) -> Job:
        return await self.crunch(job, add=1)

    @staticmethod
    @offload(to="process")
    def crunch(job: Job, *, add: int = 0) -> Job:
        return Job([number * job.factor + add for number in job.numbers])

    @staticmethod
    @offload(to="process")
    def where() -> int:
        return os.getpid()

    @staticmethod
    @offload(to="process")
    def fail(kind: str) -> Any:
        if kind == "unpicklable":
            return lambda: None
        if kind == "odd":
            raise OddError(left=2)
        raise {"exit": SystemExit(3), "stop": StopIteration("x"), "value": ValueError("wrong")}[kind]

    @staticmethod
    @offload(to="process")
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    @offload(to="process")
    def take(what: Any) -> None: ...

    @staticmethod
    @offload(to="process")
    def hang(noted: str) -> None:
        Path(noted).write_text(f"{os.getpid()}\n", encoding="utf-8")
        threading.Event().wait()
