"""Walk through everything that can happen to a few model nodes: each order of messages, views, timers and faults.

A global state is a tuple of small integers: one for what the world is like, one for each node's own state, one for what
is under way between each two. A node's step depends on its own state alone, so each is made once, by the real code, and
looked up from then on. That is what makes millions of states affordable.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from foundation.core.identity import NodeId
from foundation.registry.claims import Claims
from tests.registry.claims_model import ModelNode, Notice, Sent

T = TypeVar("T", bound=Hashable)
State = tuple[int, ...]
Step = tuple[Any, ...]
_encoder = msgspec.msgpack.Encoder(order="sorted")


class World(NamedTuple):
    """What has happened outside the nodes."""

    crashed: tuple[str, ...] = ()
    happened: tuple[str, ...] = ()
    resets: int = 0
    """How often more what is under way between two nodes may be lost."""
    early_looks: int = 0
    """How often more a node may repeat what it asked although nothing was lost."""
    skips: int = 0
    """How often more a message may be left out, as for a peer that has no room, though what follows it arrives."""
    unaware: tuple[str, str] | None = None
    """A node that has not noticed yet that what was under way to and from another one is lost."""


@dataclass(frozen=True)
class Scenario:
    """What may happen, at any time and in any order."""

    nodes: str
    members: Mapping[str, Mapping[str, int]]
    """Of each node: whom it begins with."""
    claims: Mapping[str, Sequence[str]]
    """Of each node: the keys that it claims, each once."""
    present: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of each node: whom it exchanges rows with from the start; all members by default."""
    notices: Mapping[str, Sequence[Notice]] = field(default_factory=dict[str, Sequence[Notice]])
    crash: str = ""
    cut: Sequence[tuple[str, str]] = ()
    """Pairs of nodes between which nothing arrives from the event ``cut`` until the event ``heal``."""
    resets: int = 0
    early_looks: int = 0
    skips: int = 0
    unregister: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    give_up: Sequence[str] = ()
    """Nodes whose claims may run out of time."""
    may_be_two: bool = False
    """After a partition there may be two owners, until it is healed and decided."""


class BrokenError(AssertionError):
    """Something happened that must not; the message has the way there."""


class _Local(NamedTuple):
    """A node's state, and what the walk has to know about it."""

    node: ModelNode
    owned: frozenset[str]
    sure: tuple[Step, ...]
    """What will happen to it some time."""
    possible: tuple[Step, ...]
    """What may happen to it."""


class Explorer:
    """The walk through one scenario."""

    def __init__(self, scenario: Scenario, claims: type[Claims] = Claims, most_states: int = 10_000_000) -> None:
        self.scenario = scenario
        self.names = list(scenario.nodes)
        self.pairs = [(a, b) for a in self.names for b in self.names if a != b]
        self.most_states = most_states
        self.states = 0
        self.rests = 0
        """States in which everything that can happen has happened."""
        self.is_complete = False
        self._place = {name: 1 + at for at, name in enumerate(self.names)}
        self._channel = {pair: 1 + len(self.names) + at for at, pair in enumerate(self.pairs)}
        self._worlds = _Numbered[World]()
        self._messages: list[Sent] = []
        self._message_numbers: dict[Hashable, int] = {}
        self._channels = _Numbered[tuple[int, ...]]()
        self._locals: list[_Local] = []
        self._local_numbers: dict[object, int] = {}
        self._steps: dict[tuple[int, Step], tuple[int, list[tuple[int, int]]]] = {}
        self._cut = {pair for a, b in scenario.cut for pair in ((a, b), (b, a))}
        self._parents: dict[State, tuple[State, Step] | None] = {}
        self._rested: set[State] = set()
        self.start = self._begin(claims)

    def _begin(self, claims: type[Claims]) -> State:
        scenario = self.scenario
        world = self._worlds.number(World((), (), scenario.resets, scenario.early_looks, scenario.skips))
        nodes: list[int] = []
        for name in self.names:
            members = scenario.members[name]
            node = ModelNode(name, members, scenario.present.get(name, "".join(members)), claims)
            nodes.append(self._local(node))
        return (world, *nodes, *[self._channels.number(())] * len(self.pairs))

    # --- walking

    def run(self) -> Explorer:
        """Visit every state, depth first; raises BrokenError with the way to a state that must not be."""
        todo = [self.start]
        self._parents[self.start] = None
        while todo:
            if len(self._parents) >= self.most_states:
                break
            state = todo.pop()
            world = self._worlds[state[0]]
            steps = list(self._following(state, world))
            if not steps and not _is_cut(world):
                self._come_to_rest(state)
            for step, following in (*steps, *self._choices(state, world), *self._faults(state, world)):
                if following not in self._parents:
                    self._parents[following] = (state, step)
                    self._check(state, following)
                    todo.append(following)
        else:
            self.is_complete = True
        self.states = len(self._parents)
        return self

    def _following(self, state: State, world: World) -> Iterator[tuple[Step, State]]:
        """Give what is sure to happen some time."""
        for pair in self.pairs:
            if (following := self._deliver(state, world, pair)) is not None:
                yield ("deliver", *pair), following
        for name in self.names:
            if name not in world.crashed:
                yield from self._own_steps(state, world, name)
        if world.unaware is not None and world.unaware[0] not in world.crashed:
            yield ("aware", *world.unaware), self._become_aware(state, world)

    def _deliver(self, state: State, world: World, pair: tuple[str, str]) -> State | None:
        place = self._channel[pair]
        waiting = self._channels[state[place]]
        if not waiting or pair[1] in world.crashed or (pair in self._cut and _is_cut(world)):
            return None
        shorter = list(state)
        if world.unaware == (pair[1], pair[0]):  # the first that comes over the new session ends the old one
            shorter = list(self._become_aware(state, world))
            world = self._worlds[shorter[0]]
        shorter[place] = self._channels.number(waiting[1:])
        return self._step(shorter, world, pair[1], ("receive", pair[0], waiting[0]))

    def _own_steps(self, state: State, world: World, name: str) -> Iterator[tuple[Step, State]]:
        for step in self._locals[state[self._place[name]]].sure:
            if step[0] != "notice" or not step[1].since or step[1].since in world.happened:
                yield (name, *step), self._step(list(state), world, name, step)

    def _choices(self, state: State, world: World) -> Iterator[tuple[Step, State]]:
        """Give what may happen, or may not."""
        for name in self.names:
            if name in world.crashed:
                continue
            local = self._locals[state[self._place[name]]]
            for step in local.possible:
                yield (name, *step), self._step(list(state), world, name, step)
            if world.early_looks and local.node.claims.open_claims:
                poorer = list(state)
                poorer[0] = self._worlds.number(world._replace(early_looks=world.early_looks - 1))
                yield (name, "look_again"), self._step(poorer, world, name, ("look_again",))

    def _faults(self, state: State, world: World) -> Iterator[tuple[Step, State]]:
        scenario = self.scenario
        if scenario.crash and not world.crashed:
            crashed = world._replace(crashed=(scenario.crash,), happened=(*world.happened, "crash"))
            yield ("crash", scenario.crash), self._with(state, crashed, to=scenario.crash)
        if scenario.cut and "cut" not in world.happened:
            yield ("cut",), self._with(state, world._replace(happened=(*world.happened, "cut")))
        if _is_cut(world) and self._have_noticed(state, "cut"):
            yield ("heal",), self._with(state, world._replace(happened=(*world.happened, "heal")))
        if world.skips:
            yield from self._skips(state, world)
        if world.resets and not world.crashed:
            yield from self._resets(state, world)

    def _skips(self, state: State, world: World) -> Iterator[tuple[Step, State]]:
        for pair in self.pairs:
            place = self._channel[pair]
            waiting = self._channels[state[place]]
            if waiting:
                skipped = list(self._with(state, world._replace(skips=world.skips - 1)))
                skipped[place] = self._channels.number(waiting[1:])
                yield ("skip", *pair), tuple(skipped)

    def _resets(self, state: State, world: World) -> Iterator[tuple[Step, State]]:
        for a, b in self.pairs:
            both = self._channel[a, b], self._channel[b, a]
            if any(self._channels[state[place]] for place in both):
                now = world._replace(resets=world.resets - 1, unaware=(b, a))
                lost = list(self._with(state, now))
                for place in both:
                    lost[place] = self._channels.number(())
                yield ("reset", a, b), self._step(lost, now, a, ("reset", b))

    def _become_aware(self, state: State, world: World) -> State:
        assert world.unaware is not None
        node, other = world.unaware
        aware = world._replace(unaware=None)
        return self._step(list(self._with(state, aware)), aware, node, ("reset", other))

    def _have_noticed(self, state: State, event: str) -> bool:
        return not any(
            option[0] == "notice" and option[1].since == event
            for name in self.names
            for option in self._locals[state[self._place[name]]].sure
        )

    def _with(self, state: State, world: World, to: str = "") -> State:
        new = list(state)
        new[0] = self._worlds.number(world)
        for pair in self.pairs:
            if pair[1] == to:
                new[self._channel[pair]] = self._channels.number(())
        return tuple(new)

    def _step(self, state: list[int], world: World, name: str, step: Step) -> State:
        place = self._place[name]
        made = self._steps.get((state[place], step))
        if made is None:
            made = self._steps[state[place], step] = self._make(name, state[place], step)
        state[place], sent = made
        for channel, message in sent:
            pair = self.pairs[channel - 1 - len(self.names)]
            if pair[1] not in world.crashed and pair != world.unaware:
                state[channel] = self._channels.number((*self._channels[state[channel]], message))
        if step[0] == "notice" and step[1].tells:
            state[0] = self._worlds.number(world._replace(happened=(*world.happened, step[1].tells)))
        if step[0] == "notice":
            for other in step[1].down + step[1].left:  # the session is closed
                state[self._channel[other, name]] = self._channels.number(())
        return tuple(state)

    def _make(self, name: str, number: int, step: Step) -> tuple[int, list[tuple[int, int]]]:
        node = self._locals[number].node.copy()
        kind, *arguments = step
        if kind == "receive":
            arguments[1] = self._messages[arguments[1]]
        getattr(node, kind)(*arguments)
        sent = [(self._channel[name, to], self._message(message)) for to, message in node.sent() if to in self._place]
        return self._local(node), sent

    # --- numbering

    def _message(self, message: Sent) -> int:
        key = (type(message), _encoder.encode(message))
        number = self._message_numbers.get(key)
        if number is None:
            number = self._message_numbers[key] = len(self._messages)
            self._messages.append(message)
        return number

    def _local(self, node: ModelNode) -> int:
        key = node.key()
        number = self._local_numbers.get(key)
        if number is None:
            number = self._local_numbers[key] = len(self._locals)
            steps = tuple(self._sure(node)), tuple(self._possible(node))
            self._locals.append(_Local(node, frozenset(node.owned), *steps))
        return number

    def _sure(self, node: ModelNode) -> Iterator[Step]:
        for notice in self.scenario.notices.get(node.me, ()):
            if notice.name not in node.noticed and node.noticed.issuperset(notice.after):
                yield ("notice", notice)
        yield from (("again", number) for number in sorted(node.retries))

    def _possible(self, node: ModelNode) -> Iterator[Step]:
        scenario, me = self.scenario, node.me
        for key in scenario.claims.get(me, ()):
            often = list(node.claimed.values()).count(key) - (key in scenario.unregister.get(me, ()))
            if often < 1 and not node.claims.open_claims and node.index.find(key) is None:
                yield ("claim", key)
        if me in scenario.give_up:
            yield from (("give_up", number) for number in node.claims.open_claims)
        yield from (("unregister", key) for key in scenario.unregister.get(me, ()) if key in node.owned)

    # --- what must hold

    def _check(self, before: State, state: State) -> None:
        if self.scenario.may_be_two:
            self._check_losses(before, state)
        if self.scenario.may_be_two or before[1 : 1 + len(self.names)] == state[1 : 1 + len(self.names)]:
            return
        crashed = self._worlds[state[0]].crashed
        seen: set[str] = set()
        for name in self.names:
            if name not in crashed:
                owned = self._locals[state[self._place[name]]].owned
                if not seen.isdisjoint(owned):
                    raise self._broken(state, f"two own {seen & owned}")
                seen |= owned

    def _check_losses(self, before: State, state: State) -> None:
        for place in self._place.values():
            if before[place] == state[place]:
                continue
            lost = self._locals[state[place]].node.lost_names
            if len(lost) == len(self._locals[before[place]].node.lost_names):
                continue
            key, epoch = lost[-1]
            owners = (self._locals[state[other]].node.owned.get(key) for other in self._place.values())
            if not any(row is not None and row.epoch >= epoch for row in owners):
                raise self._broken(state, f"{key} was lost before the winner was on top")

    def _come_to_rest(self, state: State) -> None:
        """Let the slow timers run, time and again, until nothing changes; then everything has to be right."""
        seen: set[State] = set()
        while state not in self._rested:
            if state in seen:
                raise self._broken(state, "it does not come to rest")
            seen.add(state)
            repeated = self._repeat(state)
            self._parents.setdefault(repeated, (state, ("timers",)))
            if repeated == state:
                self.rests += 1
                self._check_rest(state)
                self._probe(state)
                break
            state = self._drain(repeated)
            self._check(self.start, state)
        self._rested |= seen

    def _probe(self, state: State) -> None:
        """See that a name that nobody has is free."""
        world = self._worlds[state[0]]
        alive = [name for name in self.names if name not in world.crashed]
        nodes = {name: self._locals[state[self._place[name]]].node for name in alive}
        for key in {key for keys in self.scenario.claims.values() for key in keys}:
            if any(key in node.owned for node in nodes.values()):
                continue
            name = next(name for name in reversed(alive) if nodes[name].claims.home(key) is not None)
            probed = self._step(list(state), world, name, ("claim", key))
            self._parents.setdefault(probed, (state, (name, "claim", key)))
            for _ in range(10):
                probed = self._drain(self._repeat(probed))
            node = self._locals[probed[self._place[name]]].node
            answer = node.answers.get(node.number)
            if answer is None or not answer.startswith("granted"):
                raise self._broken(probed, f"nobody has {key}, and a claim of {name} was answered: {answer}")

    def _repeat(self, state: State) -> State:
        world = self._worlds[state[0]]
        alive = [name for name in self.names if name not in world.crashed]
        steps: list[Step] = [("look_again",)]
        tables = {name: self._locals[state[self._place[name]]].node.replica for name in alive}
        versions = {tuple(tables[name].version(NodeId(owner)) for owner in self.names) for name in alive}
        if len(versions) > 1:
            steps.append(("compare",))
        for name, step in itertools.product(alive, steps):
            state = self._step(list(state), world, name, step)
        return state

    def _drain(self, state: State) -> State:
        """Deliver all, one after the other, until nothing is under way."""
        for _ in range(10_000):
            following = next(self._following(state, self._worlds[state[0]]), None)
            if following is None:
                return state
            self._parents.setdefault(following[1], (state, following[0]))
            state = following[1]
        raise self._broken(state, "messages never end")

    def _check_rest(self, state: State) -> None:
        crashed = self._worlds[state[0]].crashed
        nodes = [self._locals[state[self._place[name]]].node for name in self.names if name not in crashed]
        for node in nodes:
            if node.claims.open_claims and node.me not in node.leaving:
                raise self._broken(state, f"{node.me} waits for its claims {node.claims.open_claims}")
            if node.claims.conflicts:
                raise self._broken(state, f"{node.me} sees conflicts about {list(node.claims.conflicts)}")
            for number, answer in node.answers.items():
                self._check_answer(state, node, node.claimed[number], answer)
        keys = {key for node in nodes for key in [*node.claimed.values(), *node.owned]}
        for key in keys:
            self._check_key(state, nodes, key)

    def _check_answer(self, state: State, node: ModelNode, key: str, answer: str) -> None:
        if answer.startswith("taken by "):
            owner = self._locals[state[self._place[answer.removeprefix("taken by ")]]].node
            if owner is node:
                raise self._broken(state, f"{node.me} was told that it had {key} itself")
            pending = any(one == "given up" and owner.claimed[n] == key for n, one in owner.answers.items())
            has_died = owner.me in self._worlds[state[0]].crashed
            if key not in owner.had and not pending and not has_died:
                raise self._broken(state, f"{node.me} was told that {owner.me} had {key}, which it never had")

    def _check_key(self, state: State, nodes: Sequence[ModelNode], key: str) -> None:
        crashed = self._worlds[state[0]].crashed
        claimed = {key for node in nodes if node.me not in node.leaving for key in node.claimed.values()}
        owners = [node for node in nodes if key in node.owned]
        seen = {node.index.find(key) for node in nodes if not node.down & {other.me for other in nodes}}
        if len(seen) > 1:
            raise self._broken(state, f"the nodes do not agree who has {key}: {seen}")
        if len(owners) > 1:
            raise self._broken(state, f"{len(owners)} own {key}: {[node.me for node in owners]}")
        were_granted = [node for node in nodes if key in node.had]
        gave_back = key in {one for keys in self.scenario.unregister.values() for one in keys}
        if not owners and were_granted and not gave_back:
            raise self._broken(state, f"nobody owns {key}, which {[node.me for node in were_granted]} had")
        if not owners and not gave_back and not self.scenario.give_up and not crashed and key in claimed:
            raise self._broken(state, f"nobody owns {key}")
        for node in were_granted:
            told = sum(lost == key for lost, _ in node.lost_names)
            if not gave_back and told != (node not in owners):
                raise self._broken(state, f"{node.me} was told {told} times that it lost {key}")
        if owners and self.scenario.may_be_two:
            self._check_winner(state, owners[0], were_granted, nodes, key)

    def _check_winner(
        self, state: State, owner: ModelNode, were_granted: Sequence[ModelNode], nodes: Sequence[ModelNode], key: str
    ) -> None:
        if owner is not min(were_granted, key=lambda node: node.stamp):
            raise self._broken(state, f"{owner.me} has {key}, and an older claim lost it")
        if owner.owned[key].epoch < max(node.index.top_epoch(key) for node in nodes):
            raise self._broken(state, f"the epoch of {key} is not the highest")

    def _broken(self, state: State, what: str) -> BrokenError:
        way: list[str] = []
        at = state
        while (come := self._parents.get(at)) is not None:
            before, step = come
            way.append(self._told(before, step))
            at = before
        return BrokenError("\n".join([what, *reversed(way)]))

    def _told(self, before: State, step: Step) -> str:
        if step[0] == "deliver":
            message = self._messages[self._channels[before[self._channel[step[1], step[2]]]][0]]
            return f"{step[1]} -> {step[2]}: {message}"
        return " ".join(part.name if isinstance(part, Notice) else str(part) for part in step)


class _Numbered(Generic[T]):
    """Values with small numbers."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._values: list[T] = []

    def number(self, value: T) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self._values)
            self._values.append(value)
        return number

    def __getitem__(self, number: int) -> T:
        return self._values[number]


def _is_cut(world: World) -> bool:
    return "cut" in world.happened and "heal" not in world.happened
