"""Processes that several tests use, defined where every host can find them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from foundation.processes.process import Process


class Counter(Process):
    """A number."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    async def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    async def count_to(self, end: int) -> AsyncIterator[int]:
        for number in range(end):
            yield number


class Adds(Protocol):
    """What can add."""

    async def add(self, n: int = ...) -> int: ...

    def count_to(self, end: int) -> AsyncIterator[int]: ...


@dataclass
class Line:
    """A line of an order."""

    item: str
    amount: int = 1


@dataclass
class Order:
    """An order, with a reference in it."""

    number: int
    lines: list[Line] = field(default_factory=list)
    counter: Counter | None = None


class Echo(Process):
    """Gives back what it gets."""

    async def any(self, value: Any) -> Any:
        return value

    async def order(self, order: Order) -> Order:
        assert isinstance(order, Order)
        return order

    async def counter(self, counter: Counter) -> Counter:
        await counter.add(1)
        return counter

    async def adder(self, adder: Adds, n: int) -> int:
        return await adder.add(n)

    async def adders(self, adders: list[Adds]) -> list[int]:
        return [await adder.add() for adder in adders]

    async def itself(self) -> Echo:
        return self

    async def everything(self, a: int, b: str = "b", *rest: float, c: bool = False, **named: int) -> list[Any]:
        return [a, b, rest, c, named]

    async def strict(self, a: int, /, b: int, *, c: int, d: int = 4) -> list[int]:
        return [a, b, c, d]
