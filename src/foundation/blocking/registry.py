"""Names, groups and presence for threads: the calls of :mod:`foundation.registry`, which wait for their results."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, TypeVarTuple

from foundation import registry as asynchronous
from foundation.blocking.session import Session
from foundation.blocking.stream import Stream
from foundation.core.identity import ProcessId
from foundation.registry import GroupChange, GroupMember, NameEvent, PresenceDiff

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Registry:
    """See :class:`foundation.registry.Registry`."""

    def __init__(self, registry: Callable[[], asynchronous.Registry], session: Session) -> None:
        self._registry = registry
        self._session = session

    def register(
        self,
        name: str,
        reference: object,
        metadata: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> None:
        """See :meth:`foundation.registry.Registry.register`."""
        self._session.run(self._it.register(name, reference, metadata, timeout_s=timeout_s))

    def unregister(self, name: str) -> None:
        """See :meth:`foundation.registry.Registry.unregister`."""
        self._session.run(self._it.unregister(name))

    def update_metadata(self, name: str, metadata: asynchronous.Metadata) -> None:
        """See :meth:`foundation.registry.Registry.update_metadata`; a function runs on the cluster's loop."""
        self._session.run(self._it.update_metadata(name, metadata))

    def whereis(self, name: str) -> ProcessId | None:
        """See :meth:`foundation.registry.Registry.whereis`."""
        return self._session.ask(lambda: self._it.whereis(name))

    def await_name(self, name: str, timeout_s: float | None = None) -> ProcessId:
        """See :meth:`foundation.registry.Registry.await_name`."""
        return self._session.run(self._it.await_name(name, timeout_s))

    def metadata(self, name: str) -> dict[str, Any] | None:
        """See :meth:`foundation.registry.Registry.metadata`."""
        return self._session.ask(lambda: self._it.metadata(name))

    def names(self, prefix: str = "", metadata: Mapping[str, Any] | None = None) -> list[str]:
        """See :meth:`foundation.registry.Registry.names`."""
        return self._session.ask(lambda: self._it.names(prefix, metadata))

    def count(self) -> int:
        """See :meth:`foundation.registry.Registry.count`."""
        return self._session.ask(self._it.count)

    def watch(self, prefix: str = "") -> Stream[tuple[NameEvent, ...]]:
        """See :meth:`foundation.registry.Registry.watch`. The iterator ends with the cluster."""
        return Stream(self._session, self._session.ask(lambda: self._it.watch(prefix)), ends_with_cluster=True)

    @property
    def _it(self) -> asynchronous.Registry:
        return self._registry()


class Groups:
    """See :class:`foundation.registry.Groups`."""

    def __init__(self, groups: Callable[[], asynchronous.Groups], session: Session) -> None:
        self._groups = groups
        self._session = session

    def __call__(self, scope: str) -> Groups:
        """Return the groups of a scope."""
        return Groups(lambda: self._it(scope), self._session)

    def join(self, group: str, reference: object, metadata: Mapping[str, Any] | None = None) -> None:
        """See :meth:`foundation.registry.Groups.join`."""
        self._session.run(self._it.join(group, reference, metadata))

    def leave(self, group: str, reference: object) -> None:
        """See :meth:`foundation.registry.Groups.leave`."""
        self._session.run(self._it.leave(group, reference))

    def members(self, group: str) -> list[GroupMember]:
        """See :meth:`foundation.registry.Groups.members`."""
        return self._session.ask(lambda: self._it.members(group))

    def local_members(self, group: str) -> list[GroupMember]:
        """See :meth:`foundation.registry.Groups.local_members`."""
        return self._session.ask(lambda: self._it.local_members(group))

    def count(self, group: str) -> int:
        """See :meth:`foundation.registry.Groups.count`."""
        return self._session.ask(lambda: self._it.count(group))

    def names(self) -> list[str]:
        """See :meth:`foundation.registry.Groups.names`."""
        return self._session.ask(self._it.names)

    def watch(self, group: str | None = None) -> Stream[GroupChange]:
        """See :meth:`foundation.registry.Groups.watch`. The iterator ends with the cluster."""
        return Stream(self._session, self._session.ask(lambda: self._it.watch(group)), ends_with_cluster=True)

    def publish(self, group: str, message: object) -> int:
        """See :meth:`foundation.registry.Groups.publish`."""
        return self._session.run(self._it.publish(group, message))

    def call_all(
        self,
        group: str,
        method: Callable[[Any, *Ts], Coroutine[Any, Any, T]],
        /,
        *args: *Ts,
        timeout_s: float | None = None,
    ) -> Stream[tuple[ProcessId, T | Exception]]:
        """See :meth:`foundation.registry.Groups.call_all`. References in results are those for async code."""
        answers = self._session.ask(lambda: self._it.call_all(group, method, *args, timeout_s=timeout_s))
        return Stream(self._session, answers)

    @property
    def _it(self) -> asynchronous.Groups:
        return self._groups()


class Presence:
    """See :class:`foundation.registry.Presence`."""

    def __init__(self, presence: Callable[[], asynchronous.Presence], session: Session) -> None:
        self._presence = presence
        self._session = session

    def track(self, topic: str, key: str, meta: Any = None, *, process: object | None = None) -> None:  # noqa: ANN401
        """See :meth:`foundation.registry.Presence.track`."""
        self._session.run(self._it.track(topic, key, meta, process=process))

    def update(self, topic: str, key: str, meta: Any, *, process: object | None = None) -> None:  # noqa: ANN401
        """See :meth:`foundation.registry.Presence.update`; a function runs on the cluster's loop."""
        self._session.run(self._it.update(topic, key, meta, process=process))

    def untrack(self, topic: str, key: str, *, process: object | None = None) -> None:
        """See :meth:`foundation.registry.Presence.untrack`."""
        self._session.run(self._it.untrack(topic, key, process=process))

    def entries(self, topic: str) -> dict[str, asynchronous.Entries]:
        """See :meth:`foundation.registry.Presence.entries`."""
        return self._session.ask(lambda: self._it.entries(topic))

    def get(self, topic: str, key: str) -> asynchronous.Metas:
        """See :meth:`foundation.registry.Presence.get`."""
        return self._session.ask(lambda: self._it.get(topic, key))

    def count(self, topic: str) -> int:
        """See :meth:`foundation.registry.Presence.count`."""
        return self._session.ask(lambda: self._it.count(topic))

    def topics(self) -> asynchronous.Topics:
        """See :meth:`foundation.registry.Presence.topics`."""
        return self._session.ask(self._it.topics)

    def watch(self, topic: str) -> Stream[PresenceDiff]:
        """See :meth:`foundation.registry.Presence.watch`. The iterator ends with the cluster."""
        return Stream(self._session, self._session.ask(lambda: self._it.watch(topic)), ends_with_cluster=True)

    def list(self, topic: str) -> dict[str, asynchronous.Metas]:
        """See :meth:`foundation.registry.Presence.list`."""
        return self._session.ask(lambda: self._it.list(topic))

    @property
    def _it(self) -> asynchronous.Presence:
        return self._presence()
