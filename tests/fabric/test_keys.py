"""Keys say exactly what they were made from, and anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.errors import CodecError, ConfigurationError
from foundation.fabric import keys

NODES = st.from_regex(r"[1-9a-f][0-9a-f]{31}", fullmatch=True).map(NodeId)


@given(NODES, st.integers(0, 10**18 - 1), st.binary(max_size=2000))
def test_a_presence_token_survives_its_key(node: NodeId, version: int, facts: bytes) -> None:
    """Node, version and facts, whatever bytes they are, come out of the key as they went in."""
    token = keys.Presence(node, version, facts)
    key = keys.presence(token)
    assert keys.parse_presence(key) == token
    assert key.count("/") == 3
    assert not set(key) & set("*$?# ")


@given(
    st.text(max_size=100)
    | st.builds("presence/{}/{}/{}".format, st.text("0af/", max_size=34), TEXT := st.text(max_size=20), TEXT)
)
def test_any_key_is_a_token_or_a_codec_error(key: str) -> None:
    """Reading a token raises nothing but :class:`CodecError`."""
    try:
        token = keys.parse_presence(key)
    except CodecError:
        return
    assert keys.parse_presence(keys.presence(token)) == token


@pytest.mark.parametrize(
    "key",
    [
        "presence/0abc/1/-",  # the fabric knows no identity that begins with 0
        "presence/ABC/1/-",
        "presence/abc/-1/-",
        "presence/abc/1e3/-",
        "presence/abc/\u0661/-",  # a digit, but not one of ours
        "presence/abc/1",
        "presence/abc/1/-/-",
        "presence/abc/1/a",  # no base64 has this length
        "presence/abc/1/caf\u00e9",
        "presence/abc/1/" + "A" * (40 << 10),
        "frames/abc",
    ],
)
def test_what_is_no_token_is_refused_in_few_words(key: str) -> None:
    """The error quotes the beginning of the key only."""
    with pytest.raises(CodecError) as caught:
        keys.parse_presence(key)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["a", "a/b.c/d-e", "\u00fc/\u65e5", "*", "**", "a/*/b", "a/**", "a b"])
def test_topics_survive_their_key(name: str) -> None:
    """A topic, also with wildcards, comes out of its key as it went in."""
    assert keys.parse_topic(keys.topic(name)) == name


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a//b", "a$b", "a?", "#", "a*", "*a", "a/b**", "***", "**/**", "**/*", "a/@b"]
)
def test_what_cannot_be_a_topic_is_refused_here(name: str) -> None:
    """A topic that the engine would refuse, or match in its own way, is refused with a word on what is allowed."""
    with pytest.raises(ConfigurationError, match="cannot be used"):
        keys.topic(name)


@pytest.mark.parametrize("cluster", ["", "a/b", "*", "a b", "-a", ".", "a" * 65, "\u00fcber", "a\n"])
def test_what_cannot_be_a_cluster_is_refused(cluster: str) -> None:
    """The name of a cluster becomes a part of all keys, so its characters are few."""
    with pytest.raises(ConfigurationError, match="cluster name"):
        keys.namespace(cluster)


def test_clusters_have_namespaces_of_their_own() -> None:
    """No cluster's namespace lies inside another's."""
    assert keys.namespace("shop") == "foundation/shop"
    assert keys.namespace("shop.test-2_b").count("/") == 1
