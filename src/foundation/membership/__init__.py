"""State: who is in the cluster, and in what condition."""

from foundation.membership.events import (
    MemberDown,
    MemberEvent,
    MemberJoining,
    MemberLeaving,
    MemberLeft,
    MemberReachable,
    MemberUnreachable,
    MemberUp,
    MemberUpdated,
)
from foundation.membership.member import Facts, Member, MemberStatus
from foundation.membership.membership import Membership
from foundation.membership.options import MembershipOptions

__all__ = [
    "Facts",
    "Member",
    "MemberDown",
    "MemberEvent",
    "MemberJoining",
    "MemberLeaving",
    "MemberLeft",
    "MemberReachable",
    "MemberStatus",
    "MemberUnreachable",
    "MemberUp",
    "MemberUpdated",
    "Membership",
    "MembershipOptions",
]
