"""The lines of JSON between a test and the nodes that it started."""

from __future__ import annotations

import json
from typing import Any

LONGEST_LINE = 64 << 20


def encoded(what: str, value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return a value that JSON gives back as it was; raise TypeError for any other, which would arrive changed."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"{what} must be JSON, not {value!r:.200}: {error}"
        raise TypeError(message) from None
    if json.loads(text) != value:
        message = f"{what} would not arrive as it is: JSON makes {text:.200} of {value!r:.200}"
        raise TypeError(message)
    return value


def line_of(**fields: Any) -> bytes:  # noqa: ANN401
    """Return one line."""
    return json.dumps(fields).encode() + b"\n"
