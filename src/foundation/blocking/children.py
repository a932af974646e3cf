"""Distributed children for threads: the calls of :class:`foundation.Children`, which wait for their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, TypeVarTuple, overload

from foundation import distribution as asynchronous
from foundation.blocking.reference import Blocking, References
from foundation.blocking.session import Session
from foundation.core.identity import NodeId
from foundation.distribution import ChildReport, Key, Placement
from foundation.processes import Restart, Spec

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Children:
    """See :class:`foundation.Children`."""

    def __init__(self, children: Callable[[], asynchronous.Children], session: Session, references: References) -> None:
        self._children = children
        self._session = session
        self._references = references

    @overload
    def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str | None = None,
        instances: None = None,
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> Blocking[T]: ...
    @overload
    def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str,
        instances: int | Literal["every_node"],
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> list[Blocking[T]]: ...
    def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        **options: Any,
    ) -> Blocking[T] | list[Blocking[T]]:
        """See :meth:`foundation.Children.start`."""
        started: Any = self._session.run(self._it.start(cls, *args, **options))
        return list(map(self._blocking, started)) if isinstance(started, list) else self._blocking(started)

    def start_shards(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str,
        shards: int,
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> list[Blocking[T]]:
        """See :meth:`foundation.Children.start_shards`."""
        options: Any = {"restart": restart, "placement": placement}
        starting = self._it.start_shards(cls, *args, name=name, shards=shards, **options)
        return [self._blocking(one) for one in self._session.run(starting)]

    def shard(self, cls: Callable[..., T], name: str, key: Key) -> Blocking[T]:
        """See :meth:`foundation.Children.shard`."""
        return self._blocking(self._session.ask(lambda: self._it.shard(cls, name, key)))

    def start_all(
        self, wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
    ) -> dict[str, Blocking[T]]:
        """See :meth:`foundation.Children.start_all`."""
        started = self._session.run(self._it.start_all(wanted, restart=restart, placement=placement))
        return {name: self._blocking(one) for name, one in started.items()}

    def stop(self, name: str) -> None:
        """See :meth:`foundation.Children.stop`."""
        self._session.run(self._it.stop(name))

    def holder(self, name: str) -> NodeId | None:
        """See :meth:`foundation.Children.holder`."""
        return self._session.run(self._it.holder(name))

    def on(self, node: NodeId, most: int = 1_000) -> list[ChildReport]:
        """See :meth:`foundation.Children.on`."""
        return self._session.run(self._it.on(node, most))

    @property
    def _it(self) -> asynchronous.Children:
        return self._children()

    def _blocking(self, reference: T) -> Blocking[T]:
        made: Blocking[T] = self._references.blocking(reference)  # type: ignore[arg-type]
        return made
