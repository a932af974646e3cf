"""Notebooks: cells run inside the loop of their kernel, and plain cells may call all the same."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest

from foundation import blocking
from foundation.errors import RunningLoopError
from tests.blocking.samples import Counter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what another package warns of when it is imported is not ours
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

START = "cluster = blocking.start_cluster(cluster='static', cookie='tests', transport='memory')"


class Notebook:
    """IPython's shell, driven as the kernel of a notebook drives it: from a task of a running loop."""

    def __init__(self) -> None:
        known = {"blocking": blocking, "Counter": Counter, "asyncio": asyncio}
        # The history would be kept in a file, by a thread.
        self.shell = InteractiveShell(user_ns=known, config=Config({"HistoryManager": {"enabled": False}}))  # type: ignore[no-untyped-call]

    async def cell(self, text: str) -> Any:
        result = await self.shell.run_cell_async(text, store_history=False, transformed_cell=text)
        result.raise_error()  # type: ignore[no-untyped-call]
        return result.result


async def test_cells_call_and_coroutines_do_not() -> None:
    """Plain code of a cell calls, with `await` at its top level too; a coroutine or a task of the notebook may not."""
    notebook = Notebook()
    await notebook.cell(f"{START}\ncounter = cluster.start_process(Counter, 5)")
    try:
        assert await notebook.cell("counter.add(2)") == 7
        assert await notebook.cell("[value for value in counter.watch()]") == [7, 8, 9]
        assert await notebook.cell("def helper():\n    return counter.add(1)\nhelper()") == 8
        assert await notebook.cell("await asyncio.sleep(0)\ncounter.add(1)") == 9
        with pytest.raises(RunningLoopError):
            await notebook.cell("async def coroutine():\n    return counter.add(1)\nawait coroutine()")
        with pytest.raises(RunningLoopError):
            await notebook.cell("await asyncio.gather(coroutine())")
        with pytest.raises(RunningLoopError):
            await notebook.cell("[value async for value in (counter.add(n) async for n in counter.reference.watch())]")
    finally:
        await notebook.cell("cluster.stop()")
