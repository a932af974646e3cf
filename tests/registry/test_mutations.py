"""The exploration finds what it is to find: each of these broken variants of the claims is caught by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from foundation.core.identity import NodeId
from foundation.registry.agreement import Agreement
from foundation.registry.claims import Claims
from foundation.registry.messages import Claim, Dropped, Flushed, Granted, Lost, Won
from foundation.registry.ports import Rows
from tests.registry import scenarios as of
from tests.registry.exploring import BrokenError, Explorer, Scenario


class Unflushed(Claims):
    """Grants although nobody has confirmed the view."""

    def flush(self) -> bool:
        self._agreement.rounds = dict.fromkeys(self._agreement.others, 0)
        return True

    def _granted(self, source: NodeId, granted: Granted) -> None:
        super()._granted(source, Granted(granted.number, granted.key, granted.epoch, self.round))


class WithoutRounds(Claims):
    """Takes grants from before it confirmed the view last: a view that comes back is taken for the same."""

    def _granted(self, source: NodeId, granted: Granted) -> None:
        super()._granted(source, Granted(granted.number, granted.key, granted.epoch, self.round))


class Hasty(Claims):
    """Decides without the rows that the members knew."""

    def __init__(self, me: NodeId, rows: Rows, grantee: Any, send: Any, conflicts: dict[str, None]) -> None:
        super().__init__(me, rows, grantee, send, conflicts)
        self._agreement = _Hasty(me, rows, send)


class _Hasty(Agreement):
    def take(self, source: NodeId, flushed: Flushed) -> None:
        super().take(source, Flushed(flushed.view, flushed.turn, flushed.round, {}))


class Forgetful(Claims):
    """Does not remember what it has granted."""

    def _send_grant(self, key: str, grant: Any) -> None:
        super()._send_grant(key, grant)
        self._grants.pop(key, None)


class Trusting(Claims):
    """Forgets a grant when it hears that it was dropped, though the row that used it may be on its way."""

    def _dropped(self, source: NodeId, dropped: Dropped) -> None:
        super()._dropped(source, Dropped(dropped.key, dropped.epoch, 0, dropped.round))


class Silent(Claims):
    """Never asks what became of a grant."""

    def look_again(self) -> None:
        if self._agreement.is_sought:
            self._agreement.ask()
        self.go_on()


class Rash(Claims):
    """Tells the loser before the winner is on top."""

    def _tell_winner(self, node: NodeId, won: Won) -> None:
        for other, _ in self._rows.owned(won.key):
            if other != node:
                lost = Lost(won.key, node, won.serial, won.epoch, self._agreement.rounds.get(other, 0))
                self._tell_loser(other, lost)
        super()._tell_winner(node, won)


class Careless(Claims):
    """Does not wait for the rows that the claimant had written when it claimed."""

    def _claimed(self, source: NodeId, claim: Claim) -> None:
        super()._claimed(source, Claim(claim.number, claim.key, claim.serial, claim.view, 0, claim.round))


class Staying(Claims):
    """Does not notice that a member has left the view and come back."""

    def _look_at_round(self, member: NodeId, its_round: int) -> None:
        pass


MUTATIONS: list[tuple[type[Claims], Callable[[], Scenario], str]] = [
    (Unflushed, lambda: of.join("A", "C"), "two own"),
    (WithoutRounds, lambda: of.join("A", "C"), "two own"),
    (Hasty, lambda: of.leave("C", skips=1), "two own"),
    (Forgetful, of.steady, "two own"),
    (Trusting, lambda: of.steady(early_looks=1, skips=1), "two own"),
    (Silent, lambda: of.steady(give_up="A", skips=1), "come to rest|nobody has"),
    (Rash, lambda: of.partition_of_two("C"), "before the winner was on top"),
    (Careless, lambda: of.steady(unregister="A", skips=1), "had .* itself"),
    (Staying, lambda: of.flap("C"), "come to rest"),
]


@pytest.mark.parametrize(("broken", "scenario", "what"), MUTATIONS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_broken_variant_is_caught(broken: type[Claims], scenario: Callable[[], Scenario], what: str) -> None:
    """With the way there, one step in each line."""
    with pytest.raises(BrokenError, match=what) as failure:
        Explorer(scenario(), broken).run()
    assert len(str(failure.value).splitlines()) > 3
