"""Forget children that were terminated, once nobody can take them for alive any more, and those that were handed over.

Consistency: the row that says so goes only when every node that is in holds it, none is out of reach or down with a
table that is still kept, and, for a terminated child, nobody's table has another row about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from foundation.core.identity import NodeId
from foundation.distribution.options import DistributionOptions
from foundation.errors import CallTimeout
from foundation.membership import Membership
from foundation.registry import MOVED, NAMES, TERMINATED, NameRow, Names
from foundation.replication import Change, Replication, Sync

_CONFIRM_WITHIN_S = 10.0
_WORD_OF_WHO_IS_NOT_HERE = {TERMINATED, MOVED}


class Forgetting:
    """Deletes the own rows about children that are not here any more when their time has come."""

    def __init__(
        self, names: Names, membership: Membership, replication: Replication, sync: Sync, options: DistributionOptions
    ) -> None:
        self._names = names
        self._membership = membership
        self._replication = replication
        self._sync = sync
        self._options = options
        self._me = replication.replica.me
        self._gone: dict[str, None] = {}
        self._any = asyncio.Event()

    def look_at(self, changes: Iterable[Change]) -> None:
        """Take changes of rows."""
        for owner, key, _, row in changes:
            if owner == self._me and type(row) is NameRow and row.serial in _WORD_OF_WHO_IS_NOT_HERE:
                self._gone[key[1:]] = None
                self._any.set()

    async def run(self) -> None:
        """Forget, as long as this node runs."""
        while True:
            if not self._gone:
                self._any.clear()
                await self._any.wait()
            await asyncio.sleep(self._options.forget_after_s)
            names = list(self._gone)
            if self._is_whole() and await self._all_know() and self._is_whole():
                self._forget(names)

    async def _all_know(self) -> bool:
        others = self._others()
        try:
            await self._sync.wait(lambda: others, lambda node: node[:8], _CONFIRM_WITHIN_S)
        except CallTimeout:
            return False
        return set(others) >= set(self._others())

    def _others(self) -> list[NodeId]:
        return [member.node_id for member in self._membership.members() if member.node_id != self._me]

    def _is_whole(self) -> bool:
        """Tell whether this node knows nobody whom it cannot ask."""
        return not self._membership.out_of_reach() and not self._replication.has_lost

    def _forget(self, names: list[str]) -> None:
        for name in names:
            rows = dict(self._names.children.rows(NAMES + name))
            mine = rows.pop(self._me, None)
            if mine is not None and mine.serial == TERMINATED and rows:
                continue  # somebody has not let go of it yet
            del self._gone[name]
            self._names.forget_gone(name)
