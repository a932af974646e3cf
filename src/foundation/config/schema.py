"""The JSON schema of the file, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any

from foundation.config.detection import AUTO
from foundation.config.keys import PORTS, SHORT, Key
from foundation.config.settings import Settings
from foundation.config.validation import json_schema
from foundation.discovery.catalog import STRATEGIES
from foundation.errors import ConfigurationError

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST_PORT = 65535


def file_schema() -> dict[str, Any]:
    """Return what a ``foundation.toml`` may say; options of strategies as far as these can be loaded here."""
    schema = json_schema(Settings)
    definitions: dict[str, Any] = schema["$defs"]
    definitions["FabricOptions"]["properties"]["tls"]["anyOf"].append({"type": "string"})  # a folder
    for record in (schema, definitions["ClusterSettings"]):
        properties = record["properties"]
        properties |= {name: _at(definitions, schema, key) for name, key in SHORT.items()}
        for name, more in (("cluster", (AUTO,)), ("fallback", ())):
            properties[name]["type"] = ["array", "string"]
            known = [*more, *STRATEGIES.names()]  # for editors to propose; a class of the user's is a text as well
            properties[name] |= {"anyOf": [{"enum": known}, {"type": ["array", "string"]}]}
            properties[name]["items"] = {"anyOf": [{"enum": known}, {"type": "string"}]}
        properties["strategies"]["properties"] = {
            name: {"$ref": f"#/$defs/strategy {name}"} for name in STRATEGIES.names()
        }
    definitions |= {f"strategy {name}": _options(name) for name in STRATEGIES.names()}
    _limit(schema)
    return {"$schema": _DIALECT, **schema, "title": "foundation.toml"}


def _at(definitions: Mapping[str, Any], schema: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return the schema of a key."""
    found: Mapping[str, Any] = schema
    for part in key:
        table = found
        for option in (found, *found.get("anyOf", ())):
            if "$ref" in option:
                table = definitions[option["$ref"].rpartition("/")[2]]
        found = table["properties"][part]
    return dict(found)


def _options(name: str) -> dict[str, Any]:
    with suppress(ConfigurationError):
        record = getattr(STRATEGIES.find(name), "Options", None)
        if isinstance(record, type) and is_dataclass(record):
            schema = json_schema(record)
            if "$defs" not in schema:
                return schema | {"additionalProperties": False}
    return {"type": "object"}


def _limit(schema: Any, name: str = "") -> None:  # noqa: ANN401 - any part of a schema
    """Say of numbers what the types do not say."""
    if isinstance(schema, list):
        for part in schema:
            _limit(part, name)
    if not isinstance(schema, dict):
        return
    if str(schema.get("type")) in {"integer", "number"}:
        schema["minimum"] = 0
        if name in PORTS:
            schema["maximum"] = _MOST_PORT
    for part, value in schema.items():
        _limit(value, part if part != "anyOf" else name)
