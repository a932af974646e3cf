"""A secret shows in nothing that prints, copies or stores it."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.core.secret import Secret

COOKIE = "correct horse battery staple"
SECRET = Secret(COOKIE)


def test_a_secret_prints_as_nothing() -> None:
    """No way to make text of it, alone or inside something, shows the value."""
    shown = [str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET!r:>40}", f"{[SECRET]}", "%s %r" % (SECRET, SECRET)]  # noqa: UP031
    assert not [text for text in shown if "horse" in text]
    assert not hasattr(SECRET, "__dict__")


def test_a_traceback_with_variables_shows_nothing() -> None:
    """A debugger's traceback that prints every local variable still does not show the value."""

    def use(secret: Secret) -> None:
        proof = secret.prove(b"x")
        message = f"no use for {secret} and {len(proof)} bytes"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no use") as caught:
        use(SECRET)
    text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "secret = Secret" in text
    assert "horse" not in text


ENCODERS = [msgspec.msgpack.encode, msgspec.json.encode, msgspec.to_builtins, json.dumps]


@pytest.mark.parametrize("take_out", [pickle.dumps, copy.copy, copy.deepcopy, *ENCODERS])
def test_a_secret_cannot_be_stored_or_copied(take_out: Callable[[object], object]) -> None:
    """What would write the value somewhere refuses, and its message does not hold the value."""
    with pytest.raises(TypeError) as caught:
        take_out(SECRET)
    assert "horse" not in str(caught.value)


def test_a_value_that_is_not_text_is_taken_and_not_shown() -> None:
    """A cookie from the environment may hold any bytes; an error about it would show it."""
    assert Secret("caf\udce9") != Secret("caf")
    assert len(Secret("caf\udce9").prove(b"")) == 32


def test_secrets_compare_by_value() -> None:
    """Equal values are equal and hash alike; the value itself is not equal to its secret."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert bool(Secret("a"))
    assert not Secret("")


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_a_proof_covers_each_part_and_its_bounds(one: list[bytes], other: list[bytes]) -> None:
    """Two lists of parts have the same proof only if they are the same list, not merely the same bytes in a row."""
    assert (SECRET.prove(*one) == SECRET.prove(*other)) == (one == other)
    assert SECRET.prove(*one) != Secret("another").prove(*one)
