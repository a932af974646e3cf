"""What every engine under the fabric must do. A test class for each engine inherits it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.core.tasks import TaskScope
from foundation.errors import FabricLostError, UnreachableError
from foundation.fabric.options import TlsOptions
from foundation.fabric.transport import SessionSettings, Transport, TransportSession
from tests.waiting import eventually, turns

TOKENS = "presence/**"
IN_VAIN_S = 0.3
"""How long an introduction may take that must fail; over the real engine it takes this long."""


@dataclass
class Sessions:
    """Opens sessions and closes them all."""

    transport: Transport
    nowhere: str
    opened: list[TransportSession] = field(default_factory=list[TransportSession])
    nodes: dict[TransportSession, NodeId] = field(default_factory=dict[TransportSession, NodeId])
    lost: list[str] = field(default_factory=list[str])
    introduction_timeout_s: float = 10.0
    tls: TlsOptions | None = None

    async def open(self, namespace: str = "foundation/shop", cookie: str = "secret") -> TransportSession:
        settings = SessionSettings(
            node=new_node_id(),
            namespace=namespace,
            cookie=Secret(cookie),
            host="127.0.0.1",
            port=0,
            lease_s=10.0,
            open_timeout_s=10.0,
            introduction_timeout_s=self.introduction_timeout_s,
            tls=self.tls,
        )
        session = await self.begin(settings)
        self.opened.append(session)
        self.nodes[session] = settings.node
        return session

    async def begin(self, settings: SessionSettings) -> TransportSession:
        return await self.transport.open(settings, self.lost.append)

    async def close(self) -> None:
        await asyncio.gather(*(session.close() for session in self.opened))

    async def linked(self, count: int = 2) -> list[TransportSession]:
        """Open sessions and introduce each to the first."""
        sessions = [await self.open() for _ in range(count)]
        for session in sessions[1:]:
            await self.introduce(session, sessions[0])
        return sessions

    async def introduce(self, session: TransportSession, other: TransportSession) -> None:
        await session.introduce(self.nodes[other], other.endpoints)


@dataclass
class Tokens:
    """The tokens that one session sees, and every change in order."""

    events: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    there: set[str] = field(default_factory=set[str])
    least: int = 1 << 30
    """The fewest tokens that were there at once, since it was last set."""

    def changed(self, token: str, is_there: bool) -> None:
        self.events.append((token, is_there))
        (self.there.add if is_there else self.there.discard)(token)
        self.least = min(self.least, len(self.there))

    @classmethod
    def of(cls, session: TransportSession, expression: str = TOKENS) -> Tokens:
        tokens = cls()
        session.watch(expression, tokens.changed)
        return tokens


@dataclass
class Inbox:
    """What one session receives."""

    got: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    @classmethod
    def of(cls, session: TransportSession, expression: str) -> Inbox:
        inbox = cls()
        session.subscribe(expression, lambda key, payload: inbox.got.append((key, payload)))
        return inbox


class TransportContract:
    """Inherit this, and give the two fixtures ``transport`` and ``nowhere``."""

    @pytest.fixture
    def transport(self) -> Transport:
        raise NotImplementedError

    @pytest.fixture
    def nowhere(self) -> str:
        """Return an endpoint at which nobody listens."""
        raise NotImplementedError

    @pytest.fixture
    def tls(self) -> TlsOptions | None:
        """Return what the sessions encrypt their links with, where an engine can do that."""
        return None

    @pytest.fixture
    async def sessions(self, transport: Transport, nowhere: str, tls: TlsOptions | None) -> AsyncIterator[Sessions]:
        sessions = Sessions(transport, nowhere, tls=tls)
        yield sessions
        await sessions.close()

    # --- links -----------------------------------------------------------------------------------------------

    async def test_sessions_meet_at_their_endpoints(self, sessions: Sessions) -> None:
        """Once two sessions were introduced and see each other's tokens, what is put on either side arrives."""
        one, two = await sessions.open(), await sessions.open()
        assert one.endpoints
        at_one, at_two = Inbox.of(one, "frames/1/*"), Inbox.of(two, "frames/2/*")
        tokens = Tokens.of(one), Tokens.of(two)
        one.declare("presence/1")
        two.declare("presence/2")
        await sessions.introduce(one, two)
        await eventually(lambda: "presence/2" in tokens[0].there and "presence/1" in tokens[1].there)
        one.put("frames/2/1", b"hello")
        two.put("frames/1/2", b"hello back")
        await eventually(
            lambda: at_one.got == [("frames/1/2", b"hello back")] and at_two.got == [("frames/2/1", b"hello")]
        )

    async def test_meeting_again_changes_nothing(self, sessions: Sessions) -> None:
        """Two sessions that know each other may be introduced again, from both sides at once; nothing comes twice."""
        one, two = await sessions.linked()
        inbox = Inbox.of(two, "a")
        tokens = Tokens.of(one)
        two.declare("presence/2")
        await eventually(lambda: tokens.there)
        async with TaskScope("test") as scope:
            again = [scope.start(sessions.introduce(*pair), "again") for pair in ((one, two), (two, one))]
            for task in again:
                await task
        for number in range(100):
            one.put("a", b"%d" % number)
        await eventually(lambda: len(inbox.got) >= 100)
        assert [payload for _, payload in inbox.got] == [b"%d" % number for number in range(100)]
        assert tokens.events == [("presence/2", True)]

    async def test_any_of_several_endpoints_will_do(self, sessions: Sessions) -> None:
        """An endpoint that leads nowhere does not hinder the one that works."""
        one, two = await sessions.open(), await sessions.open()
        tokens = Tokens.of(one)
        two.declare("presence/2")
        await one.introduce(sessions.nodes[two], [sessions.nowhere, *two.endpoints])
        await eventually(lambda: tokens.there == {"presence/2"})

    async def test_neighbors_become_neighbors(self, sessions: Sessions) -> None:
        """Whoever meets one node of a cluster gets to know the others through it."""
        one, two = await sessions.linked()
        three = await sessions.open()
        tokens = {session: Tokens.of(session) for session in (one, two, three)}
        for name, session in (("1", one), ("2", two), ("3", three)):
            session.declare(f"presence/{name}")
        await sessions.introduce(three, two)
        everybody = {"presence/1", "presence/2", "presence/3"}
        await eventually(
            lambda: all(
                everybody <= seen.there | {f"presence/{n}"} for n, seen in zip("123", tokens.values(), strict=True)
            )
        )
        inbox = Inbox.of(three, "frames/3/*")

        def put_and_look() -> bool:  # the subscription is on its way too
            one.put("frames/3/1", b"hello")
            return bool(inbox.got)

        await eventually(put_and_look)

    @pytest.mark.parametrize("cookie", ["wrong", ""])
    async def test_a_wrong_password_links_nobody(self, sessions: Sessions, cookie: str) -> None:
        """Who has another cookie, or none, is not let in, and is told so in time."""
        sessions.introduction_timeout_s = IN_VAIN_S
        one, intruder = await sessions.open(), await sessions.open(cookie=cookie)
        seen = Tokens.of(intruder)
        one.declare("presence/1")
        loop = asyncio.get_running_loop()
        for session, other in ((intruder, one), (one, intruder)):
            began = loop.time()
            with pytest.raises(UnreachableError):
                await sessions.introduce(session, other)
            assert loop.time() - began < IN_VAIN_S * 2 + 1
        assert not seen.events

    async def test_nobody_there_is_told_in_time(self, sessions: Sessions) -> None:
        """An introduction to nobody ends with an error, and so does one to a node that does not live there."""
        sessions.introduction_timeout_s = IN_VAIN_S
        one, two = await sessions.open(), await sessions.open()
        loop = asyncio.get_running_loop()
        for endpoints in ([sessions.nowhere], list(two.endpoints), []):
            began = loop.time()
            with pytest.raises(UnreachableError):
                await one.introduce(new_node_id(), endpoints)
            assert loop.time() - began < IN_VAIN_S * 2 + 1

    @pytest.mark.parametrize("cookie", ["secret", ""])
    async def test_namespaces_keep_clusters_apart(self, sessions: Sessions, cookie: str) -> None:
        """Neither tokens nor messages of one cluster reach another, even if somebody introduces them."""
        sessions.introduction_timeout_s = IN_VAIN_S
        shop, shop_too = await sessions.open(cookie=cookie), await sessions.open(cookie=cookie)
        bank = await sessions.open("foundation/bank", cookie)
        seen, heard = Tokens.of(bank, "**"), Inbox.of(bank, "**")
        shop_seen, shop_heard = Tokens.of(shop_too, "**"), Inbox.of(shop_too, "**")
        shop.declare("presence/1")
        for session in (shop, shop_too):
            await asyncio.gather(sessions.introduce(session, bank), return_exceptions=True)
        await sessions.introduce(shop, shop_too)
        shop.put("topics/a", b"for the shop")
        await eventually(lambda: shop_seen.there == {"presence/1"} and shop_heard.got)
        await turns()
        assert shop_heard.got == [("topics/a", b"for the shop")]
        assert not seen.events
        assert not heard.got

    # --- tokens ----------------------------------------------------------------------------------------------

    async def test_tokens_that_are_there_are_seen_first(self, sessions: Sessions) -> None:
        """Whoever begins to watch is told of the tokens that were declared before, each once."""
        one, two = await sessions.linked()
        early = Tokens.of(two)
        for number in range(5):
            one.declare(f"presence/{number}")
        await eventually(lambda: len(early.there) == 5)
        late = Tokens.of(two)
        await eventually(lambda: late.there == early.there)
        assert sorted(late.events) == sorted(early.events)

    async def test_a_session_sees_its_own_tokens(self, sessions: Sessions) -> None:
        """One's own tokens look like those of others, those declared before the watch too."""
        one = await sessions.open()
        one.declare("presence/before")
        tokens = Tokens.of(one)
        take_back = one.declare("presence/after")
        await eventually(lambda: tokens.there == {"presence/before", "presence/after"})
        take_back()
        await eventually(lambda: tokens.there == {"presence/before"})

    async def test_only_matching_tokens_are_seen(self, sessions: Sessions) -> None:
        """A watch for some tokens is not told of others."""
        one, two = await sessions.linked()
        some, every = Tokens.of(two, "presence/*"), Tokens.of(two, "**")
        for token in ("other/1", "presence/1/2", "presence/3"):
            one.declare(token)
        await eventually(lambda: len(every.there) == 3)
        assert some.there == {"presence/3"}

    async def test_a_token_taken_back_is_gone(self, sessions: Sessions) -> None:
        """The others see it go, once, however often it is taken back."""
        one, two = await sessions.linked()
        tokens = Tokens.of(two)
        take_back = one.declare("presence/1")
        await eventually(lambda: tokens.there)
        take_back()
        take_back()
        await eventually(lambda: not tokens.there)
        one.declare("presence/2")
        await eventually(lambda: tokens.there)
        assert tokens.events == [("presence/1", True), ("presence/1", False), ("presence/2", True)]

    async def test_the_tokens_of_a_closed_session_are_gone(self, sessions: Sessions) -> None:
        """A session that ends takes all its tokens along, and no others."""
        one, two = await sessions.linked()
        tokens = Tokens.of(two)
        two.declare("presence/mine")
        for number in range(5):
            one.declare(f"presence/{number}")
        await eventually(lambda: len(tokens.there) == 6)
        await one.close()
        await eventually(lambda: tokens.there == {"presence/mine"}, within_s=2)

    async def test_facts_are_replaced_without_a_gap(self, sessions: Sessions) -> None:
        """While a node replaces its token by the next, the others never see it without one."""
        one, two, three = await sessions.linked(3)
        tokens = [Tokens.of(session) for session in (two, three)]
        take_back = one.declare("presence/1/0")
        await eventually(lambda: all(seen.there for seen in tokens))
        for seen in tokens:
            seen.least = 1 << 30
        for version in range(1, 101):
            take_back_old, take_back = take_back, one.declare(f"presence/1/{version}")
            take_back_old()
        await eventually(lambda: all(seen.there == {"presence/1/100"} for seen in tokens))
        assert [seen.least for seen in tokens] == [1, 1]
        take_back()

    # --- messages --------------------------------------------------------------------------------------------

    async def test_frames_for_one_key_stay_in_order(self, sessions: Sessions) -> None:
        """What is put under one key arrives in that order, complete and once, small and large mixed."""
        one, two = await sessions.linked()
        inbox = Inbox.of(two, "frames/2/*")
        await self.ready(one, two)
        sent = [(b"%d " % number).ljust(60_000 if number % 100 == 0 else 10) for number in range(2000)]
        for payload in sent:
            one.put("frames/2/1", payload)
        await eventually(lambda: len(inbox.got) >= len(sent))
        assert [payload for _, payload in inbox.got] == sent

    async def test_what_one_sends_stays_in_order(self, sessions: Sessions) -> None:
        """A subscription gets all keys of a sender in order, and a watch all tokens; each may overtake the other."""
        one, two = await sessions.linked()
        inbox, tokens = Inbox.of(two, "frames/2/*"), Tokens.of(two)
        await self.ready(one, two)
        expected = [(f"frames/2/{number % 3}", b"%d" % number) for number in range(300)]
        for number, message in enumerate(expected):
            one.declare(f"presence/{number}")
            one.put(*message)
        await eventually(lambda: len(inbox.got) == len(tokens.events) == 300)
        assert inbox.got == expected
        assert tokens.events == [(f"presence/{number}", True) for number in range(300)]

    async def test_nothing_is_lost_when_a_token_shows_up(self, sessions: Sessions) -> None:
        """Whoever subscribes before it declares its token gets what is put the moment that token is seen."""
        hub = await sessions.open()
        inboxes: list[Inbox] = []
        seen: list[str] = []

        def greet(token: str, is_there: bool) -> None:
            if is_there:
                seen.append(token)
                hub.put(f"frames/{token.rpartition('/')[2]}/hub", b"welcome")

        hub.watch(TOKENS, greet)
        for number in range(8):
            session = await sessions.open()
            inboxes.append(Inbox.of(session, f"frames/{number}/*"))
            session.declare(f"presence/{number}")
            await sessions.introduce(session, hub)
        await eventually(lambda: len(seen) == 8)
        await eventually(lambda: all(len(inbox.got) == 1 for inbox in inboxes))

    async def test_nothing_is_lost_when_a_token_is_declared_later(self, sessions: Sessions) -> None:
        """The same holds when the link was there long before the token."""
        one, two = await sessions.linked()
        got = {one: Inbox.of(one, "frames/1/*"), two: Inbox.of(two, "frames/2/*")}
        one.watch("presence/2", lambda _token, _there: one.put("frames/2/1", b"x"))
        two.watch("presence/1", lambda _token, _there: two.put("frames/1/2", b"x"))
        one.declare("presence/1")
        two.declare("presence/2")
        await eventually(lambda: all(len(inbox.got) == 1 for inbox in got.values()))

    async def test_wildcards_match_segments(self, sessions: Sessions) -> None:
        """``*`` stands for one segment and ``**`` for any number, none included."""
        one, two = await sessions.linked()
        expressions = ["topics/*", "topics/**", "topics/a/*/c", "topics/**/c", "topics/a"]
        inboxes = {expression: Inbox.of(two, expression) for expression in expressions}
        await self.ready(one, two)
        for key in ("topics/a", "topics/a/b/c", "topics/c", "other/c"):
            one.put(key, b"")
        every = inboxes["topics/**"].got
        await eventually(lambda: len(every) == 3)
        await self.ready(one, two)
        got = {expression: [key for key, _ in inbox.got] for expression, inbox in inboxes.items()}
        assert got == {
            "topics/*": ["topics/a", "topics/c"],
            "topics/**": ["topics/a", "topics/a/b/c", "topics/c"],
            "topics/a/*/c": ["topics/a/b/c"],
            "topics/**/c": ["topics/a/b/c", "topics/c"],
            "topics/a": ["topics/a"],
        }

    async def test_a_session_hears_itself(self, sessions: Sessions) -> None:
        """What a session puts reaches its own subscribers too."""
        one = await sessions.open()
        inbox = Inbox.of(one, "topics/*")
        one.put("topics/a", b"1")
        await eventually(lambda: inbox.got == [("topics/a", b"1")])

    async def test_who_no_longer_subscribes_gets_nothing(self, sessions: Sessions) -> None:
        """A subscription taken back, twice, is over; the others go on."""
        one, two = await sessions.linked()
        got: list[bytes] = []
        take_back = two.subscribe("a", lambda _key, payload: got.append(payload))
        other = Inbox.of(two, "a")
        await self.ready(one, two)
        one.put("a", b"1")
        await eventually(lambda: got and other.got)
        take_back()
        take_back()
        one.put("a", b"2")
        await eventually(lambda: len(other.got) == 2)
        await turns()
        assert got == [b"1"]

    async def test_a_watch_taken_back_is_over(self, sessions: Sessions) -> None:
        """Who no longer watches is told nothing."""
        one, two = await sessions.linked()
        seen: list[str] = []
        take_back = two.watch(TOKENS, lambda token, _there: seen.append(token))
        other = Tokens.of(two)
        take_back()
        take_back()
        one.declare("presence/1")
        await eventually(lambda: other.there)
        await turns()
        assert not seen

    async def test_a_callback_that_raises_harms_no_other(
        self, sessions: Sessions, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An error in one callback is logged; everything else still arrives."""
        one, two = await sessions.linked()

        def fail(*_arguments: object) -> None:
            message = "broken on purpose"
            raise ValueError(message)

        two.subscribe("a", fail)
        two.watch(TOKENS, fail)
        inbox, tokens = Inbox.of(two, "a"), Tokens.of(two)
        await self.ready(one, two)
        one.declare("presence/1")
        for number in range(10):
            one.put("a", b"%d" % number)
        await eventually(lambda: len(inbox.got) == 10 and tokens.there)
        assert "broken on purpose" in caplog.text

    async def test_payloads_may_be_empty_or_large(self, sessions: Sessions) -> None:
        """No payload is too small, and some megabytes are not too large."""
        one, two = await sessions.linked()
        inbox = Inbox.of(two, "a")
        await self.ready(one, two)
        sent = [b"", bytes(3 << 20), b"x"]
        for payload in sent:
            one.put("a", payload)
        await eventually(lambda: [payload for _, payload in inbox.got] == sent)

    # --- the end ---------------------------------------------------------------------------------------------

    async def test_closing_is_quick_and_can_be_repeated(self, sessions: Sessions) -> None:
        """A session closes within a second, a second time too, and tells nobody that it was lost."""
        for session in await sessions.linked(3):
            async with asyncio.timeout(1):
                await session.close()
                await session.close()
        assert not sessions.lost

    async def test_nothing_is_called_back_after_the_end(self, sessions: Sessions) -> None:
        """Once a session is closed none of its callbacks is called, not even for what had arrived before."""
        one, two = await sessions.linked()
        closed = False
        late: deque[tuple[object, ...]] = deque()

        def note(*what: object) -> None:
            if closed:
                late.append(what)

        two.watch(TOKENS, note)
        two.subscribe("a", note)
        await self.ready(one, two)
        one.declare("presence/1")
        for _ in range(100):
            one.put("a", b"")
        await two.close()
        closed = True
        one.put("a", b"")
        await turns(20)
        assert not late

    async def test_taking_back_after_the_end_is_harmless(self, sessions: Sessions) -> None:
        """Whatever was declared can be taken back also when the session is gone."""
        one = await sessions.open()
        undo = [one.declare("presence/1"), one.watch(TOKENS, print), one.subscribe("a", print)]
        await one.close()
        for take_back in undo:
            take_back()
            take_back()

    async def test_a_closed_session_meets_nobody(self, sessions: Sessions) -> None:
        """An introduction that its own session's end overtakes fails like one to nobody."""
        sessions.introduction_timeout_s = IN_VAIN_S
        one, two, three = await sessions.open(), await sessions.open(), await sessions.open()
        await one.close()
        with pytest.raises(UnreachableError):
            await sessions.introduce(one, two)
        async with TaskScope("test") as scope:
            task = scope.start(two.introduce(new_node_id(), three.endpoints), "introduce")
            await turns(3)
            await two.close()
            with pytest.raises(UnreachableError):
                await task

    async def test_a_closed_session_is_lost(self, sessions: Sessions) -> None:
        """Whoever goes on using it is told that it is gone, in the words of the fabric."""
        one = await sessions.open()
        await one.close()
        uses = [
            lambda: one.put("a", b""),
            lambda: one.declare("presence/1"),
            lambda: one.subscribe("a", print),
            lambda: one.watch(TOKENS, print),
        ]
        for use in uses:
            with pytest.raises(FabricLostError):
                use()

    async def test_nothing_is_left_behind(self, sessions: Sessions) -> None:
        """A closed session leaves no task, and its endpoint answers no longer."""
        sessions.introduction_timeout_s = IN_VAIN_S
        one, two = await sessions.linked()
        tokens = Tokens.of(one)
        two.declare("presence/2")
        await eventually(lambda: tokens.there)
        await two.close()
        await eventually(lambda: not tokens.there)
        with pytest.raises(UnreachableError):
            await sessions.introduce(one, two)
        await one.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_an_introduction_may_be_cancelled(self, sessions: Sessions) -> None:
        """Who gives up an introduction leaves nothing behind that others would see."""
        one, two = await sessions.open(), await sessions.open()
        async with TaskScope("test") as scope:
            scope.start(sessions.introduce(one, two), "introduce")
            scope.start(one.introduce(new_node_id(), two.endpoints), "introduce")
            await turns(2)
        await one.close()
        await two.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def ready(self, one: TransportSession, two: TransportSession) -> None:
        """Wait until what ``two`` subscribed to is known to ``one``, and what it was sent has arrived."""
        got: list[bytes] = []
        take_back = two.subscribe("ready", lambda _key, payload: got.append(payload))
        await eventually(partial(self._put_and_look, one, got))
        take_back()

    @staticmethod
    def _put_and_look(one: TransportSession, got: list[bytes]) -> bool:
        one.put("ready", b"")
        return bool(got)
