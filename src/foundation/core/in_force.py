"""Options of a node that runs: the record that its parts share, and the one way to change what it says."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

T = TypeVar("T")


def own_copy(record: T) -> T:
    """Return a copy of a record for the parts of one node to share, so that nobody else has it."""
    copy: T = replace(record)  # type: ignore[type-var]
    return copy


def put_in_force(shared: T, wanted: T) -> None:
    """Let a shared record say what another one says; its parts go by that from their next look at it.

    The record is frozen, so that no part changes it by accident. It is to be an :func:`own_copy`.
    """
    field: Any
    for field in fields(shared):  # type: ignore[arg-type]
        object.__setattr__(shared, field.name, getattr(wanted, field.name))
