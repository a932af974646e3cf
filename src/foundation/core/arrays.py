"""NumPy's arrays and scalars travel in a program that has imported numpy; one that has not pays nothing.

numpy is imported neither by this module nor because bytes ask for it.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import msgspec

from foundation.core.codec import Extension
from foundation.errors import CodecError

CODE = 3


@cache
def _format() -> Any:  # noqa: ANN401 - the module that stands on numpy
    from foundation.core import array_format  # noqa: PLC0415 - only where numpy was imported

    return array_format


def _is_used() -> bool:
    return sys.modules.get("numpy") is not None


def _takes(kind: type) -> bool:
    return _is_used() and bool(_format().takes(kind))


def _to_wire(value: Any) -> Any:  # noqa: ANN401
    content = _format().plain_or_bytes(value)
    return msgspec.msgpack.Ext(CODE, content) if isinstance(content, memoryview) else content


def _from_wire(data: memoryview) -> Any:  # noqa: ANN401
    if not _is_used():
        message = "a numpy array came, and this program has not imported numpy"
        raise CodecError(message)
    return _format().from_bytes(data)


def _adapts(annotation: Any) -> bool:  # noqa: ANN401
    return _is_used() and bool(_format().adapts(annotation))


def _adapt(annotation: Any, value: Any) -> Any:  # noqa: ANN401
    return _format().adapt(annotation, value)


ARRAYS = Extension(CODE, "numpy arrays", _takes, _to_wire, _from_wire, _adapts, _adapt)
"""Arrays as a header and their own bytes; scalars that are plain numbers or text as just that."""
