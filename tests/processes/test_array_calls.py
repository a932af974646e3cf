"""Calls with arrays of numpy: checked where they are made, typed where they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from foundation.core import array_format
from foundation.errors import ArgumentError, ProcessDefinitionError
from foundation.processes.calling.verbs import send
from foundation.processes.host import Host
from foundation.processes.process import Process
from tests.processes.samples import Line

ones = np.ones((2, 3))


@dataclass
class Sample:
    values: npt.NDArray[np.float64]
    label: str = ""


class DivergedError(Exception):
    pass


class Tensors(Process):
    """Takes arrays wherever a value can stand."""

    def __init__(self, first: np.ndarray | None = None) -> None:
        self.seen: list[Any] = [] if first is None else [first]

    async def double(self, array: np.ndarray) -> np.ndarray:
        array *= 2
        return array

    async def exact(self, array: npt.NDArray[np.float64], *, other: npt.NDArray[np.float64] | None = None) -> float:
        return float(array.sum()) + (0 if other is None else float(other.sum()))

    async def any(self, value: Any) -> Any:
        return value

    async def scale(self, count: int, factor: float, size: np.int32) -> list[str]:
        return [type(value).__name__ for value in (count, factor, size)]

    async def sample(self, sample: Sample) -> Sample:
        return sample

    async def rows(self, array: np.ndarray) -> AsyncIterator[np.ndarray]:
        for row in array:
            yield row

    async def fail(self) -> None:
        raise DivergedError(ones)

    async def objects(self) -> np.ndarray:
        return np.array([object()])

    async def all_seen(self) -> list[Any]:
        return self.seen

    async def handle_message(self, message: np.ndarray | Line) -> None:
        self.seen.append(message)


@pytest.fixture
async def tensors(here: Host, target: Host) -> Tensors:
    return await here.start_on(target.node_id, Tensors, (ones,))


async def test_arrays_travel_everywhere(tensors: Tensors) -> None:
    """As argument, keyword, field, result, item, message and constructor argument an array arrives as one."""
    for _ in range(3):  # the second time the types are known to fit
        np.testing.assert_array_equal(await tensors.double(ones), ones * 2)
        assert await tensors.exact(ones, other=ones) == 12
    assert ones.sum() == 6
    came = await tensors.any({"deep": [ones, None]})
    np.testing.assert_array_equal(came["deep"][0], ones)
    assert (await tensors.sample(Sample(ones))).values.shape == (2, 3)
    assert [row.tolist() async for row in tensors.rows(ones)] == ones.tolist()
    await send(tensors, np.arange(3))
    assert [array.tolist() for array in await tensors.all_seen()] == [ones.tolist(), [0, 1, 2]]
    with pytest.raises(DivergedError) as caught:
        await tensors.fail()
    np.testing.assert_array_equal(caught.value.args[0], ones)


async def test_scalars_travel(tensors: Tensors) -> None:
    """Scalars of numpy are taken where plain numbers are annotated, and the other way round."""
    assert await tensors.scale(np.int64(3), np.float32(0.5), np.int32(4)) == ["int", "float", "int32"]  # type: ignore[arg-type]
    assert await tensors.scale(3, 1, 4) == ["int", "float", "int32"]  # type: ignore[arg-type]
    assert await tensors.any(np.int16(7)) == 7


async def test_wrong_arrays_are_refused_at_the_call(here: Host) -> None:
    """A wrong dtype, no array, or one of objects, is an ArgumentError that names the argument."""
    tensors: Any = await here.start(Tensors)
    for _ in range(2):
        with pytest.raises(ArgumentError, match=r"exact: argument 'array': expected an array of float64, got .*int8"):
            _ = tensors.exact(ones.astype(np.int8))
        with pytest.raises(ArgumentError, match=r"Tensors\.exact: argument 'other': expected an array"):
            _ = tensors.exact(ones, other=1.5)
        with pytest.raises(ArgumentError, match=r"Tensors\.double: argument 'array': cannot travel: .*Python objects"):
            _ = tensors.double(np.array([object()]))
        with pytest.raises(ArgumentError, match=r"Tensors\.scale: argument 'size': expected int32, got 4294967296"):
            _ = tensors.scale(1, 1.0, 2**32)
        await tensors.exact(ones)
        await tensors.double(ones)
    with pytest.raises(TypeError, match=r"Tensors\.objects gave a value that cannot travel: .*Python objects"):
        await tensors.objects()


async def test_the_check_at_the_caller_copies_nothing(here: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """To see that a large array fits it is looked at where it lies; what arrives is a copy that may be written."""
    made: list[np.ndarray] = []
    from_bytes = array_format.from_bytes

    def noted(data: memoryview) -> Any:
        made.append(from_bytes(data))
        return made[-1]

    monkeypatch.setattr(array_format, "from_bytes", noted)
    tensors = await here.start(Tensors)
    await tensors.exact(np.ones(100_000))
    await tensors.exact(np.ones(1), other=np.ones(100_000))
    assert [array.flags.owndata for array in made if array.size > 1] == [False, True] * 2


async def test_unions_with_arrays(here: Host) -> None:
    """What MessagePack cannot tell apart is refused with method, parameter and reason."""

    class Wide(Process):
        async def take(self, value: np.ndarray | float) -> None: ...

    wide = await here.start(Wide)
    with pytest.raises(ProcessDefinitionError, match=r"Wide\.take: parameter 'value'.*union"):
        _ = wide.take(ones)
