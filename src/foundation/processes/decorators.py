"""What a class may say about one of its methods: how it is run, and how it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

from foundation.errors import ProcessDefinitionError
from foundation.processes.offloading.workers import run_in_program, run_in_thread

P = ParamSpec("P")
T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])
AsyncMethod = TypeVar("AsyncMethod", bound=Callable[..., Coroutine[Any, Any, Any]])


def concurrent(method: Method) -> Method:
    """Let a method run beside the mailbox, in a task of its own, so that waiting in it blocks nobody else.

    Its calls run beside each other and beside the one message that the process handles otherwise: between two
    ``await`` the state may change. ``aside_capacity`` bounds how many run at once.
    """
    method.__concurrent__ = True  # type: ignore[attr-defined]
    return method


def idempotent(method: AsyncMethod) -> AsyncMethod:
    """Say that handling a call of a method twice does no more than handling it once, so that callers may try again.

    A call that was not delivered, or whose node went down before it answered, is then made again, after a growing
    delay with jitter, for as long as its ``timeout_s`` and the deadline of whoever makes it allow. Through a reference
    by name it goes to the process that has the name by then. What the handler raises ends the call at once, and so do
    CallTimeout, DeadlockError, a name that nobody has at the first try, and, through a reference by identity,
    NoSuchProcessError. When the time is over NodeDown is raised if any of the tries may have been executed, else what
    the last one met. Without any limit the call ends when it has come through.

    The mark counts where the call is made; casts and plain messages are never sent again. It stands above ``@offload``.
    """
    if not inspect.iscoroutinefunction(method):
        name = getattr(method, "__qualname__", repr(method))
        message = f"@idempotent is for `async def`, and goes above @offload, but {name} is no coroutine function"
        raise ProcessDefinitionError(message)
    method.__idempotent__ = True  # type: ignore[attr-defined]
    return method


class Offloading(Protocol):
    """A decorator that makes an async method of a plain one."""

    def __call__(self, method: Callable[P, T], /) -> Callable[P, CoroutineType[Any, Any, T]]:
        """Decorate a method."""
        ...


@overload
def offload(method: Callable[P, T], /) -> Callable[P, CoroutineType[Any, Any, T]]: ...
@overload
def offload(*, to: Literal["thread", "process"] = "thread") -> Offloading: ...
def offload(method: Callable[..., Any] | None = None, /, *, to: Literal["thread", "process"] = "thread") -> Any:
    """Make an async method of a plain ``def`` that computes or blocks: it runs elsewhere, and the loop goes on.

    ``@offload`` runs it in one of the node's ``offload_threads``, with the context variables of its handler. It is
    still one message: the next is not handled before it has returned, so it needs no locks, unless it is marked
    ``@concurrent`` too. A thread cannot be broken off. A caller whose time is up, or who cancels, goes on at once; the
    function finishes, and its result is dropped. A process that is stopped waits ``stop_timeout_s`` for it; then the
    thread is left to itself, and keeps neither the node nor the program from ending.

    ``@offload(to="process")`` runs it in another Python program on this machine, one of ``offload_processes`` that are
    started at first use: for what computes longer than the few milliseconds that the way there takes. No state goes
    along, so the method is a static one, of a class that a module defines::

        @staticmethod
        @offload(to="process")
        def crunch(numbers: list[int]) -> int: ...

    Arguments and result must be picklable, which references are not. The other program imports the module, and the
    main module of this one too, which therefore starts its work below ``if __name__ == "__main__":``. Whoever waits is
    let go at once when cancelled, and what still runs at the end of the node is killed.
    """
    if method is None:
        return functools.partial(_offloaded, to=to)
    return _offloaded(method, to=to)


def _offloaded(method: Callable[..., Any], *, to: str) -> Callable[..., Any]:
    if isinstance(method, (staticmethod, classmethod)):
        message = f"put @{type(method).__name__} above @offload on {method.__qualname__}"
        raise ProcessDefinitionError(message)
    if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        message = f"@offload is for a plain `def` that returns a result, and {method.__qualname__} is none"
        raise ProcessDefinitionError(message)
    made = _to_program(method) if to == "process" else _to_thread(method)
    made.__offload__ = to  # type: ignore[attr-defined]
    return made


def _to_thread(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def offloaded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        let_go = hasattr(offloaded, "__concurrent__")
        return await run_in_thread(functools.partial(method, *args, **kwargs), let_go=let_go)

    return offloaded


def _to_program(method: Callable[..., Any]) -> Callable[..., Any]:
    if "<locals>" in method.__qualname__:
        message = (
            f"{method.__qualname__} is defined within a function, where no other program finds it: "
            f"define its class at the top of a module, or use plain @offload"
        )
        raise ProcessDefinitionError(message)

    @functools.wraps(method)
    async def offloaded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await run_in_program(method, args, kwargs)

    return offloaded
