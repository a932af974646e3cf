"""Groups of processes: join them, look who is in, give all of them a message, or ask all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar, TypeVarTuple

from msgspec import Raw

from foundation.core.events import EventStream
from foundation.core.identity import ProcessId
from foundation.core.tasks import TaskScope
from foundation.errors import ArgumentError, NotDelivered
from foundation.processes import Host, class_with, options, process_id_of, told, wire_name_of
from foundation.processes.messages import Message
from foundation.registry.clerk import clerk_of
from foundation.registry.group_table import GroupChange, GroupMember, GroupTable, Place

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NOBODY = 0


class Groups:
    """The groups of one scope; ``groups("other")`` are those of another one, in which the same name is another group.

    A group is there as long as it has members. A process may be in any number of groups, and leaves all of them when
    it ends. All methods belong to the event loop of the cluster.
    """

    def __init__(self, table: GroupTable, host: Host, scope: str = "") -> None:
        self.scope = scope
        self._table = table
        self._host = host

    def __call__(self, scope: str) -> Groups:
        """Return the groups of a scope."""
        if "/" in scope:
            message = f"a scope has no slash in its name: {scope!r}"
            raise ArgumentError(message)
        return Groups(self._table, self._host, scope)

    async def join(self, group: str, reference: object, metadata: Mapping[str, Any] | None = None) -> None:
        """Enter a process, of any node; one that is in already gets other metadata.

        ``metadata`` are plain values, which all nodes can see. When this returns the process is a member for this node
        and for its own, and soon for all. Raises :class:`NoSuchProcessError`, and :class:`ArgumentError` for metadata
        that cannot travel, or that is too large.
        """
        process_id = process_id_of(reference)
        if process_id.node == self._table.me:
            cls = self._host.class_of(process_id)
            self._table.join(self._place(group), process_id.serial, wire_name_of(cls), metadata)
        else:
            clerk = clerk_of(self._host, process_id.node)
            await told(clerk.join(self.scope, group, process_id, dict(metadata) if metadata else None))

    async def leave(self, group: str, reference: object) -> None:
        """Take a process out of a group; nothing happens when it is not in."""
        process_id = process_id_of(reference)
        if process_id.node == self._table.me:
            self._table.leave(self._place(group), process_id.serial)
        else:
            await told(clerk_of(self._host, process_id.node).leave(self.scope, group, process_id))

    def members(self, group: str) -> list[GroupMember]:
        """Return all members, at once and without asking anybody, ordered by node and age.

        Those of unreachable nodes are among them, and say so; those of nodes that are down are not.
        """
        return self._table.members(self._place(group))

    def local_members(self, group: str) -> list[GroupMember]:
        """Return the members on this node."""
        return self._table.local_members(self._place(group))

    def count(self, group: str) -> int:
        """Return how many members there are; as quick for many as for few."""
        return self._table.count(self._place(group))

    def names(self) -> list[str]:
        """Return the groups of this scope, in order."""
        return self._table.names(self.scope)

    def watch(self, group: str | None = None) -> EventStream[GroupChange]:
        """Return what happens to a group, or to all of this scope, from now on: what comes at once is one change."""
        return self._table.watch(self.scope, group)

    async def publish(self, group: str, message: object) -> int:
        """Give all members a plain message, which lands in ``handle_message``; return to how many it is on its way.

        It goes to each at most once, in order for each sender and member. A member whose mailbox is full is waited
        for, as long as a call would be, after all others have got theirs; one on an unreachable node is not: what is
        on its way there waits for the node, as far as there is room. Raises :class:`ArgumentError` for what cannot
        travel.
        """
        kind, body = self._host.encode_plain(message)
        sent, waiting = 0, []
        for number, member in enumerate(self.members(group), 1):
            try:
                if self._host.post_at_once(member.process_id, Message(member.process_id.serial, kind, body)):
                    sent += 1
                elif member.is_reachable:
                    waiting.append(member.process_id)
            except NotDelivered:  # it has just gone
                continue
            if number % self._host.options.turn_messages == 0:
                await asyncio.sleep(0)
        if waiting:
            sent += sum(await asyncio.gather(*(self._post(process_id, kind, body) for process_id in waiting)))
        return sent

    def call_all(
        self,
        group: str,
        method: Callable[[Any, *Ts], Coroutine[Any, Any, T]],
        /,
        *args: *Ts,
        timeout_s: float | None = None,
    ) -> AsyncIterator[tuple[ProcessId, T | Exception]]:
        """Call a method of all members at once; give what each answers, or the error in its place, as they come.

        ``async for process_id, status in cluster.groups.call_all("workers", Worker.status, timeout_s=1)``. The members
        are those of the moment when the first answer is asked for; each answers once, at the latest with
        :class:`CallTimeout` after ``timeout_s``, which is that of all calls unless it is given. Leaving the loop
        cancels the calls that are open. Raises :class:`ArgumentError` for arguments that do not fit, before anything
        is sent.
        """
        cls = class_with(method)
        if cls is None:
            message = f"expected a method of a process class, such as Worker.status, got {method!r}"
            raise ArgumentError(message)
        limit_s = self._host.options.call_timeout_s if timeout_s is None else timeout_s

        def call(target: ProcessId) -> Coroutine[Any, Any, T]:
            reference: Any = options(self._host.reference(cls, target), timeout_s=limit_s)
            made: Coroutine[Any, Any, T] = getattr(reference, method.__name__)(*args)
            return made

        call(ProcessId(self._table.me, NOBODY)).close()  # the arguments are checked, whether there is anybody or not
        return _as_they_come(lambda: [member.process_id for member in self.members(group)], call)

    def _place(self, group: str) -> Place:
        return self.scope, group

    async def _post(self, target: ProcessId, kind: str, body: Raw) -> bool:
        limit_s = self._host.options.call_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self._host.post(target, Message(target.serial, kind, body), timeout_s=limit_s)
        except (NotDelivered, TimeoutError):
            return False
        return True


async def _as_they_come(
    targets: Callable[[], list[ProcessId]], call: Callable[[ProcessId], Coroutine[Any, Any, T]]
) -> AsyncIterator[tuple[ProcessId, T | Exception]]:
    answers: asyncio.Queue[tuple[ProcessId, T | Exception]] = asyncio.Queue()

    async def ask(target: ProcessId) -> None:
        try:
            answers.put_nowait((target, await call(target)))
        except Exception as error:  # noqa: BLE001 - it is the answer
            answers.put_nowait((target, error))

    async with TaskScope("call all") as tasks:
        asked = targets()
        for target in asked:
            tasks.start(ask(target), str(target))
        for _ in asked:
            yield await answers.get()
