"""The stations of a member, and from which each event may come."""

from __future__ import annotations

from foundation.membership import (
    MemberDown,
    MemberEvent,
    MemberJoining,
    MemberLeaving,
    MemberLeft,
    MemberReachable,
    MemberStatus,
    MemberUnreachable,
    MemberUp,
    MemberUpdated,
)

JOINING, UP, LEAVING = MemberStatus.JOINING, MemberStatus.UP, MemberStatus.LEAVING
UNREACHABLE, DOWN, LEFT = MemberStatus.UNREACHABLE, MemberStatus.DOWN, MemberStatus.LEFT

ENTERED = {MemberJoining: JOINING, MemberUp: UP, MemberLeaving: LEAVING}
BEFORE: dict[type[MemberEvent], set[MemberStatus | None]] = {
    MemberJoining: {None},
    MemberUp: {None, JOINING},
    MemberLeaving: {None, JOINING, UP},
    MemberUpdated: {JOINING, UP, LEAVING},
    MemberUnreachable: {JOINING, UP},
    MemberReachable: {UNREACHABLE},
    MemberDown: {UNREACHABLE},
    MemberLeft: {LEAVING, UNREACHABLE},
}
"""From which station each event may come. Who enters with a higher incarnation may come from any but left."""
