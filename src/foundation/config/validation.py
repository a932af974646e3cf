"""Check values against types with pydantic; the only file that imports it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from foundation.config.checking import MISSING
from foundation.config.keys import Key

_WANTED = {
    "string_type": "must be text",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "dataclass_type": "must be a table",
}


def validate(record: type, values: Mapping[str, Any]) -> tuple[Any, list[tuple[Key, str, Any]]]:
    """Return the record and no complaints, or None and for each: where, what is wanted, and the value."""
    try:
        return _adapter(record).validate_python(dict(values)), []
    except PydanticSchemaGenerationError:  # a type of somebody else's, which it does not know
        return None, []
    except ValidationError as error:
        return None, [
            (tuple(map(str, found["loc"])), _wanted(found["type"], found["msg"], found.get("ctx", {})), found["input"])
            for found in error.errors(include_url=False)
        ]


def json_schema(record: type) -> dict[str, Any]:
    """Return the JSON schema of a record."""
    return _adapter(record).json_schema()


@cache
def _adapter(record: type) -> TypeAdapter[Any]:
    return TypeAdapter(record)


def _wanted(kind: str, message: str, context: Mapping[str, Any]) -> str:
    if kind == "missing":
        return MISSING
    if kind == "literal_error":
        return f"must be {context['expected']}"
    return _WANTED.get(kind) or f"cannot be used: {message[:1].lower()}{message[1:]}"
