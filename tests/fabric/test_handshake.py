"""Two nodes prove themselves to each other, and nobody else gets through or learns anything."""

from __future__ import annotations

import secrets
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.errors import CodecError, HandshakeError, RefusedError
from foundation.fabric import handshake
from foundation.fabric.handshake import (
    NONCE_BYTES,
    Challenge,
    DialerHandshake,
    DoorHandshake,
    Hello,
    Identity,
    Message,
    Proof,
    Refusal,
    Refused,
    Welcome,
    decode,
    encode,
)
from foundation.fabric.versions import SPOKEN, Versions

COOKIE = Secret("the cookie of the cluster")
NO_COOKIE = Secret("")
ANNE = Identity("shop", new_node_id(), "anne", "1.0", ("tcp/127.0.0.1:1",))
BOB = Identity("shop", new_node_id(), "bob", "1.0", ("tcp/127.0.0.1:2", "tcp/[::1]:2"))


class Meeting(NamedTuple):
    """A dialer and a door, and what they have said to each other."""

    dialer: DialerHandshake
    door: DoorHandshake
    said: list[Message]


def dialer(
    me: Identity = ANNE, cookie: Secret = COOKIE, nonce: bytes | None = None, speaks: Versions = SPOKEN
) -> DialerHandshake:
    return DialerHandshake(me, cookie, nonce or secrets.token_bytes(NONCE_BYTES), speaks=speaks)


def door(
    me: Identity = BOB, cookie: Secret = COOKIE, nonce: bytes | None = None, speaks: Versions = SPOKEN
) -> DoorHandshake:
    return DoorHandshake(me, cookie, nonce or secrets.token_bytes(NONCE_BYTES), speaks=speaks)


def over_the_wire(message: Message) -> bytes:
    """Return what the other side takes: the bytes without their length."""
    data = encode(message)
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    return data[2:]


def raw(identity: Identity) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(identity))


def meet(one: DialerHandshake, other: DoorHandshake) -> tuple[Identity, list[Message]]:
    """Carry the messages of a whole handshake faithfully."""
    said: list[Message] = [one.hello()]
    while True:
        said.append(other.receive(over_the_wire(said[-1])))
        answer = one.receive(over_the_wire(said[-1]))
        if isinstance(answer, Identity):
            return answer, said
        said.append(answer)


@pytest.mark.parametrize("cookie", [COOKIE, NO_COOKIE])
def test_nodes_of_one_cluster_meet(cookie: Secret) -> None:
    """With the same cookie, or with none on both sides, the dialer learns who lives there and the door accepts."""
    there = door(cookie=cookie)
    identity, said = meet(dialer(cookie=cookie), there)
    assert identity == BOB
    assert there.accepted
    assert there.claimed_name == f"anne {ANNE.node[:8]}"
    assert [type(message) for message in said] == [Hello, Challenge, Proof, Welcome]


@pytest.mark.parametrize(
    ("one", "other", "refusal"),
    [
        (dialer(cookie=Secret("another")), door(), Refusal.COOKIE),
        (dialer(cookie=NO_COOKIE), door(), Refusal.NO_COOKIE),
        (dialer(), door(cookie=NO_COOKIE), Refusal.COOKIE_UNWANTED),
        (dialer(msgspec.structs.replace(ANNE, cluster="bank")), door(), Refusal.CLUSTER),
        (dialer(BOB), door(), Refusal.ITSELF),
        (dialer(nonce=b"short"), door(), Refusal.MALFORMED),
    ],
)
def test_a_door_refuses_with_the_reason(one: DialerHandshake, other: DoorHandshake, refusal: Refusal) -> None:
    """Who does not belong here is refused, and the dialer's error names the reason."""
    with pytest.raises(RefusedError) as caught:
        meet(one, other)
    assert caught.value.reason == refusal.name
    assert not other.accepted
    assert str(caught.value).startswith("refused by the node there: ")


def test_each_refusal_has_words_for_both_sides() -> None:
    """The dialer has a sentence of its own for each reason that a door may give."""
    texts: set[str] = set()
    for refusal in Refusal:
        with pytest.raises(RefusedError) as caught:
            dialer().receive(over_the_wire(Refused(refusal.name)))
        texts.add(str(caught.value))
    assert len(texts) == len(Refusal)


def test_an_unknown_reason_is_shown_short_and_quoted() -> None:
    """What a stranger says as its reason reaches the logs as one short line."""
    with pytest.raises(RefusedError) as caught:
        dialer().receive(over_the_wire(Refused("\n\x1b[31mroot logged in" * 1000)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_the_name_of_a_stranger_is_shown_short_and_printable() -> None:
    """What an unproven dialer calls itself cannot forge lines in the log of the door."""
    there = door()
    name = "x\nroot logged in\x1b" * 500
    there.receive(over_the_wire(Hello(SPOKEN.newest, "shop", NodeId("\n" * 5000), b"", has_cookie=True, name=name)))
    assert there.claimed_name.isprintable()
    assert len(there.claimed_name) < 100


def test_a_dialer_does_not_believe_a_door_without_the_cookie() -> None:
    """A door that welcomes everybody is found out by its signature."""
    here = dialer()
    here.receive(over_the_wire(Challenge(secrets.token_bytes(NONCE_BYTES), BOB.node, SPOKEN.newest)))
    with pytest.raises(HandshakeError, match="does not have the cookie"):
        here.receive(over_the_wire(Welcome(secrets.token_bytes(32), raw(BOB))))


@pytest.mark.parametrize(
    "welcomed",
    [
        msgspec.structs.replace(BOB, node=new_node_id()),
        msgspec.structs.replace(BOB, endpoints=("tcp/192.0.2.66:1",)),
        msgspec.structs.replace(BOB, cluster="bank"),
        msgspec.structs.replace(BOB, name="mallory"),
    ],
)
def test_the_signature_covers_who_lives_there(welcomed: Identity) -> None:
    """Nobody on the way can change what the door says about its node, its endpoints above all."""
    here, there = dialer(), door()
    proof = here.receive(over_the_wire(there.receive(over_the_wire(here.hello()))))
    assert isinstance(proof, Proof)
    welcome = there.receive(over_the_wire(proof))
    assert isinstance(welcome, Welcome)
    with pytest.raises(HandshakeError):
        here.receive(over_the_wire(Welcome(welcome.mac, raw(welcomed))))


def test_a_refused_dialer_stays_refused() -> None:
    """After a refusal not even the right proof opens the door."""
    nonce = bytes(NONCE_BYTES)
    there = door(nonce=nonce)
    hello = Hello(SPOKEN.newest, "bank", ANNE.node, nonce, has_cookie=True)
    said = [over_the_wire(message) for message in (hello, Challenge(nonce, BOB.node, SPOKEN.newest))]
    assert there.receive(said[0]) == Refused(Refusal.CLUSTER.name)
    proof = Proof(handshake._sign(COOKIE, b"", b"dialer", said))
    assert isinstance(there.receive(over_the_wire(proof)), Refused)
    assert not there.accepted


def test_a_door_accepts_once() -> None:
    """A proof that is sent again after the welcome is refused."""
    here, there = dialer(), door()
    _, said = meet(here, there)
    assert there.receive(over_the_wire(said[2])) == Refused(Refusal.MALFORMED.name)


def test_nothing_made_with_the_cookie_is_said_before_the_dialer_proves_itself() -> None:
    """Until then, doors with different cookies say the very same, so there is nothing to guess the cookie from."""
    mine, theirs = bytes(NONCE_BYTES), bytes([7]) * NONCE_BYTES
    hellos = [dialer(cookie=Secret(text), nonce=mine).hello() for text in ("one", "two")]
    assert encode(hellos[0]) == encode(hellos[1])
    doors = [door(cookie=Secret(text), nonce=theirs) for text in ("one", "two")]
    for message in (hellos[0], Proof(bytes(32)), Proof(bytes(32))):
        answers = [there.receive(over_the_wire(message)) for there in doors]
        assert encode(answers[0]) == encode(answers[1])


# --- with an attacker on the wire --------------------------------------------------------------------------

TEXTS = st.text(max_size=8)
NODES = st.sampled_from([ANNE.node, BOB.node, NodeId("f" * 32), NodeId("")])
MACS = st.binary(min_size=32, max_size=32) | st.binary(max_size=40)
FORGED = st.one_of(
    st.builds(
        Hello,
        st.sampled_from([SPOKEN.newest, 0, 2**63]),
        st.sampled_from(["shop", "bank"]),
        NODES,
        st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES) | st.binary(max_size=3),
        has_cookie=st.booleans(),
        name=TEXTS,
    ),
    st.builds(Challenge, st.binary(max_size=20), NODES, st.sampled_from([SPOKEN.newest, 0, 2**63])),
    st.builds(Proof, MACS),
    st.builds(Welcome, MACS, st.sampled_from([raw(ANNE), raw(BOB), msgspec.Raw(b"\xc0")])),
    st.builds(Refused, st.sampled_from([*Refusal.__members__, "", "no"])),
)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_codec_error(body: bytes) -> None:
    """Reading raises nothing but :class:`CodecError`, whatever came."""
    try:
        message = decode(body)
    except CodecError:
        return
    assert isinstance(message, Message)


@given(FORGED, st.integers(0, 10**6), st.integers(1, 255))
def test_damaged_messages_are_messages_or_codec_errors(message: Message, position: int, flip: int) -> None:
    """A flipped byte, a missing end, a byte too many: never another error."""
    body = bytearray(encode(message)[2:])
    damaged = [bytes(body[: position % len(body)]), bytes(body) + bytes([flip])]
    body[position % len(body)] ^= flip
    for attempt in (bytes(body), *damaged):
        try:
            decode(attempt)
        except CodecError:
            continue


@given(st.data())
def test_what_was_recorded_or_forged_opens_no_door(data: st.DataObject) -> None:
    """Whoever has recorded handshakes, and a victim that dials and opens, gets no acceptance without the cookie.

    The attacker may replay, reorder, forge, and reflect what the victim's dialer says to the victim's own door.
    """
    pool: list[Message] = [*meet(dialer(), door())[1], *meet(dialer(BOB), door(ANNE))[1]]
    knocking, opening = dialer(ANNE), door(ANNE)
    pool.append(knocking.hello())
    for _ in range(data.draw(st.integers(1, 8))):
        message = data.draw(st.sampled_from(pool) | FORGED)
        to_door = data.draw(st.booleans())
        try:
            answer = (opening if to_door else knocking).receive(over_the_wire(message))
        except HandshakeError:
            continue
        assert not isinstance(answer, Identity | Welcome)
        pool.append(answer)
    assert not opening.accepted


@given(st.data())
def test_a_message_changed_on_the_way_ends_the_handshake(data: st.DataObject) -> None:
    """If any of the four messages is altered, neither side takes the other for what it is not."""
    here, there = dialer(), door()
    altered = data.draw(st.integers(0, 3))
    message: Message = here.hello()
    for step in range(4):
        body = over_the_wire(message)
        if step == altered:
            changed = bytearray(body)
            changed[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
            assume(step < 2 or _meaning(changed) != message)  # the frames around the signatures are not signed
            body = bytes(changed)
        try:
            answer = (there if step % 2 == 0 else here).receive(body)
        except (CodecError, HandshakeError):
            break
        assert not isinstance(answer, Identity)
        if isinstance(answer, Refused):
            break
        message = answer
    assert there.accepted == (altered == 3)


def _meaning(body: bytearray) -> Message | None:
    try:
        return decode(bytes(body))
    except CodecError:
        return None


# --- versions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "agreed"),
    [
        (SPOKEN, SPOKEN, SPOKEN.newest),
        (Versions(3, 2), Versions(3, 2), 3),
        (Versions(3, 2), Versions(2, 1), 2),
        (Versions(2, 1), Versions(3, 2), 2),
        (Versions(9, 1), Versions(5, 4), 5),
        (Versions(2, 2), Versions(3, 2), 2),
    ],
)
def test_the_highest_version_that_both_speak_is_taken(one: Versions, other: Versions, agreed: int) -> None:
    """A node and one of the version before meet, whichever of them dials, and both know what to speak."""
    here, there = dialer(speaks=one), door(speaks=other)
    assert (here.version, there.version) == (0, 0)
    assert meet(here, there)[0] == BOB
    assert (here.version, there.version) == (agreed, agreed)
    assert there.accepted


@pytest.mark.parametrize(
    ("one", "other"),
    [(Versions(3, 2), Versions(1, 1)), (Versions(1, 1), Versions(3, 2)), (Versions(2, 1), Versions(4, 3))],
)
def test_versions_that_do_not_meet_are_named_on_both_sides(one: Versions, other: Versions) -> None:
    """Who has no version in common is refused, and the logs of both sides say what each of them speaks."""
    here, there = dialer(speaks=one), door(speaks=other)
    refused = there.receive(over_the_wire(here.hello()))
    assert refused == Refused(Refusal.PROTOCOL.name, *other)
    assert there.explain(Refusal.PROTOCOL).endswith(f": it speaks {one}, and this node {other}")
    with pytest.raises(RefusedError, match=f"speaks {other} of the protocol, and this node {one}$"):
        here.receive(over_the_wire(refused))


def test_the_version_is_looked_at_before_anything_else() -> None:
    """A node that speaks another version is told so, whatever else is wrong with it."""
    hello = Hello(SPOKEN.newest + 1, "another cluster", NodeId("a"), b"", has_cookie=False)
    assert door().receive(over_the_wire(hello)) == Refused(Refusal.PROTOCOL.name, *SPOKEN)


def test_who_does_not_tell_its_oldest_version_speaks_one() -> None:
    """Where the range is missing, the newest version is the only one, in a greeting as in a refusal."""
    nonce = bytes(NONCE_BYTES)
    for newest, answer in ((2, Challenge(nonce, BOB.node, 2)), (3, Refused(Refusal.PROTOCOL.name, 2, 1))):
        hello = Hello(newest, "shop", ANNE.node, nonce, has_cookie=True)
        assert door(nonce=nonce, speaks=Versions(2, 1)).receive(over_the_wire(hello)) == answer
    for refused, text in ((Refused("PROTOCOL", 7), "version 7"), (Refused("PROTOCOL"), "another version")):
        with pytest.raises(RefusedError, match=f"that node speaks {text} of the protocol"):
            dialer().receive(over_the_wire(refused))


@pytest.mark.parametrize("field", ["newest", "oldest"])
def test_nobody_on_the_way_talks_two_nodes_down(field: str) -> None:
    """Who changes the range in the greeting has the door choose another version, and is found out by the proof."""
    speaks = Versions(3, 1)
    here, there = dialer(speaks=speaks), door(speaks=speaks)
    lowered = msgspec.structs.replace(here.hello(), **{field: 2})
    challenge = there.receive(over_the_wire(lowered))
    assert isinstance(challenge, Challenge)
    assert challenge.version == (2 if field == "newest" else 3)
    proof = here.receive(over_the_wire(challenge))
    assert isinstance(proof, Proof)
    assert there.receive(over_the_wire(proof)) == Refused(Refusal.COOKIE.name)


def test_nobody_on_the_way_changes_the_choice_of_the_door() -> None:
    """A lower version in the challenge, or both messages changed so that they fit, is found out by both sides."""
    speaks = Versions(3, 1)
    here, there = dialer(speaks=speaks), door(speaks=speaks)
    lowered = msgspec.structs.replace(here.hello(), newest=2)
    for hello in (here.hello(), lowered):
        here, there = dialer(speaks=speaks, nonce=hello.nonce), door(speaks=speaks)
        challenge = there.receive(over_the_wire(hello))
        assert isinstance(challenge, Challenge)
        proof = here.receive(over_the_wire(msgspec.structs.replace(challenge, version=5 - challenge.version)))
        assert isinstance(proof, Proof)
        assert there.receive(over_the_wire(proof)) == Refused(Refusal.COOKIE.name)
        forged = handshake._sign(Secret("a guess"), b"", b"door", [*here._said, bytes(raw(BOB))])
        with pytest.raises(HandshakeError, match="does not have the cookie"):
            here.receive(over_the_wire(Welcome(forged, raw(BOB))))


@pytest.mark.parametrize("version", [0, 1, 4, 2**63])
def test_a_dialer_speaks_no_version_that_it_did_not_offer(version: int) -> None:
    """Before it proves anything, it says what was chosen and what it speaks."""
    challenge = Challenge(bytes(NONCE_BYTES), BOB.node, version)
    with pytest.raises(HandshakeError, match=f"chose version {version}, and this node speaks versions 2 to 3"):
        dialer(speaks=Versions(3, 2)).receive(over_the_wire(challenge))


versions = st.builds(Versions, st.integers(-2, 9), st.integers(-2, 9))


@given(versions, versions)
def test_what_is_common_is_spoken_by_both_and_nothing_higher_is(one: Versions, other: Versions) -> None:
    """The choice does not depend on who of the two makes it."""
    spoken = [version for version in range(-3, 11) if version in one and version in other]
    assert one.common(other) == other.common(one) == max(spoken, default=None)


# --- inside TLS ------------------------------------------------------------------------------------------


def on(channel: bytes) -> tuple[DialerHandshake, DoorHandshake]:
    """Return a dialer and a door that see the same channel."""
    nonce = bytes(NONCE_BYTES)
    return DialerHandshake(ANNE, COOKIE, nonce, channel=channel), DoorHandshake(BOB, COOKIE, nonce, channel=channel)


def test_nodes_meet_on_one_channel() -> None:
    """Where both see the same certificate at the door, all is as ever."""
    here, there = on(b"the certificate of bob")
    assert meet(here, there)[0] == BOB
    assert there.accepted


@pytest.mark.parametrize(("one", "other"), [(b"mallory", b"bob"), (b"mallory", b""), (b"", b"bob")])
def test_what_is_proved_on_one_channel_is_not_proved_on_another(one: bytes, other: bytes) -> None:
    """A relay opens no door, and what a door has said on its own channel convinces no dialer on another."""
    (here, _), (witness, there) = on(one), on(other)
    with pytest.raises(RefusedError) as caught:
        meet(here, there)
    assert caught.value.reason == Refusal.COOKIE.name
    assert ("somebody stands between" in str(caught.value)) == bool(one)
    assert ("somebody stands between" in there.explain(Refusal.COOKIE)) == bool(other)
    assert not there.accepted
    _, said = meet(witness, on(other)[1])
    here = on(one)[0]
    here.receive(over_the_wire(said[1]))
    with pytest.raises(HandshakeError, match="does not have the cookie"):
        here.receive(over_the_wire(said[3]))


# --- with a newer node -------------------------------------------------------------------------------------


class IdentityOfTomorrow(Identity, frozen=True, array_like=True):
    """What a newer node says of itself."""

    more: str = "of tomorrow"


def longer(body: bytes) -> bytes:
    """Say one thing more at the end of a message, as a newer node does."""
    [length, *rest] = body
    assert length & 0xF0 == 0x90
    return bytes([length + 1, *rest]) + msgspec.msgpack.encode({"a field": "of tomorrow"})


@pytest.mark.parametrize("dialer_is_newer", [True, False])
@pytest.mark.parametrize("door_is_newer", [True, False])
def test_fields_of_tomorrow_are_harmless(*, dialer_is_newer: bool, door_is_newer: bool) -> None:
    """Whichever of the two says more at the end of its messages, they meet as ever, and each proof fits."""
    bob = IdentityOfTomorrow(*msgspec.structs.astuple(BOB)) if door_is_newer else BOB
    here, there = dialer(), door(bob)
    answer: Message | Identity = here.hello()
    while not isinstance(answer, Identity):
        from_dialer = isinstance(answer, Hello | Proof)
        body, speaker = over_the_wire(answer), here if from_dialer else there
        if dialer_is_newer if from_dialer else door_is_newer:
            body = longer(body)
            if isinstance(answer, Hello | Challenge):
                speaker._said[-1] = body  # a newer node signs what it has said
        answer = (there if from_dialer else here).receive(body)
    assert answer == BOB
    assert there.accepted


@pytest.mark.parametrize("step", [0, 1])
def test_a_field_that_somebody_adds_on_the_way_is_noticed(step: int) -> None:
    """What is said at the end of a message is signed, also where nobody understands it."""
    here, there = dialer(), door()
    hello = over_the_wire(here.hello())
    challenge = over_the_wire(there.receive(longer(hello) if step == 0 else hello))
    proof = here.receive(longer(challenge) if step == 1 else challenge)
    assert isinstance(proof, Proof)
    assert there.receive(over_the_wire(proof)) == Refused(Refusal.COOKIE.name)
