"""References whose methods return results instead of coroutines.

They are the references of :mod:`foundation.processes`, and equal to them; what differs is that a method runs its
coroutine on the cluster's loop and waits. Results hold blocking references too, at any depth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from foundation.blocking.session import Session
from foundation.blocking.stream import Stream
from foundation.core.identity import ProcessId
from foundation.processes.calling.reference import Address, Reference, reference_class
from foundation.processes.calling.reference_codec import reference_extension
from foundation.processes.interface.binding import Binding

P_co = TypeVar("P_co", covariant=True)


class Blocking(Generic[P_co]):
    """What type checkers know of a blocking reference to a ``P_co``.

    Its methods are those of the class, but block, and no type checker can derive that: ``counter.add(2)`` is ``Any``.
    ``call(counter.reference.add, 2)`` does the same and is checked, arguments and result.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def reference(self) -> P_co:
            """The reference for async code, typed as the class."""
            ...

        @property
        def process_id(self) -> ProcessId:
            """The identity of the process; for a reference by name the one it had when it was last called."""
            ...

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            ...


class References:
    """Make the blocking references of one session."""

    def __init__(self, session: Session, sample: Reference) -> None:
        """``sample`` is any reference of the node: it leads to its codec and to whom its references call."""
        self._session = session
        self._dialer = sample.__dialer__
        self._timeout_s = sample.__timeout_s__
        self._codec = sample.__binding__.codec
        self._blocking_codec = self._codec.replacing(reference_extension(self._make))
        self._classes: dict[type, type[Reference]] = {}

    def blocking(self, reference: Reference) -> Any:  # noqa: ANN401 - Blocking of whatever it is typed as
        """Return a blocking reference to the same process, with the same limits."""
        return self._class_of(reference.__binding__.cls)(reference.__address__, reference.__timeout_s__)

    def belongs(self, reference: Reference) -> bool:
        """Tell whether a reference, blocking or not, is one of this node."""
        return reference.__dialer__ is self._dialer

    def _make(self, cls: type, address: Address) -> Reference:
        return self._class_of(cls)(address, self._timeout_s)

    def _class_of(self, cls: type) -> type[Reference]:
        made = self._classes.get(cls)
        if made is None:
            asynchronous = reference_class(Binding(cls, self._blocking_codec), self._dialer)
            plain = reference_class(Binding(cls, self._codec), self._dialer)
            made = self._classes[cls] = _blocking_class(asynchronous, plain, self._session)
        return made


def _blocking_class(asynchronous: type[Reference], plain: type[Reference], session: Session) -> type[Reference]:
    def reference(self: Reference) -> Reference:
        return plain(self.__address__, self.__timeout_s__)

    members: dict[str, Any] = {"__slots__": (), "__session__": session, "reference": property(reference)}
    for name, method in asynchronous.__binding__.methods.items():
        function = getattr(asynchronous, name)
        blocking = _streaming(function, session) if method.stream else _calling(function, session)
        members[name] = _disguise(blocking, function)
    return type(f"Blocking{asynchronous.__name__}", (asynchronous, Blocking), members)


def _calling(method: Callable[..., Any], session: Session) -> Callable[..., Any]:
    def call(self: Reference, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return session.run(method(self, *args, **kwargs))

    return call


def _streaming(method: Callable[..., Any], session: Session) -> Callable[..., Any]:
    def stream(self: Reference, /, *args: Any, **kwargs: Any) -> Stream[Any]:  # noqa: ANN401
        return Stream(session, method(self, *args, **kwargs))

    return stream


def _disguise(function: Any, method: Any) -> Callable[..., Any]:  # noqa: ANN401
    for name in ("__name__", "__qualname__", "__doc__", "__wrapped__", "__remote__"):
        setattr(function, name, getattr(method, name))
    return function  # type: ignore[no-any-return]
