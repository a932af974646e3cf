"""Which member is meant where one is to be named, or chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foundation.core.identity import NodeId
from foundation.errors import NoEligibleNodeError
from foundation.membership import Member, MemberStatus
from foundation.processes import Spec, as_process_class, wire_name_of


class Anywhere:
    """The type of :data:`ANY`."""

    def __repr__(self) -> str:
        return "foundation.ANY"


ANY = Anywhere()
"""As ``node=``: whichever member can run the process and runs the fewest."""

Node = Member | NodeId | str | Anywhere


def find_member(members: Sequence[Member], node: Member | NodeId | str) -> Member:
    """Return the member with that id or name; raises :class:`NoEligibleNodeError`."""
    if isinstance(node, Member):
        return node
    found = [member for member in members if node in {member.node_id, member.name}]
    if len(found) == 1:
        return found[0]
    problem = "no member has" if not found else f"{len(found)} members have"
    message = f"{problem} the name or id {node!r}; there are: {', '.join(member.name for member in members)}"
    raise NoEligibleNodeError(message)


def least_loaded(members: Sequence[Member], wanted: Spec[Any], choose: Callable[[Sequence[Member]], NodeId]) -> NodeId:
    """Return who can run a process and runs the fewest; raises :class:`NoEligibleNodeError`."""
    wire_name = wire_name_of(as_process_class(wanted.cls))
    known = [m for m in members if m.status is MemberStatus.UP and wire_name in m.wire_names]
    if not known:
        message = f"no member that is up knows {wire_name}; a node knows the classes that its program has imported"
        raise NoEligibleNodeError(message)
    able = [member for member in known if not member.degraded]
    if not able:
        message = f"all who know {wire_name} are degraded: {', '.join(map(str, known))}; their event loops stand still"
        raise NoEligibleNodeError(message)
    return choose(able)
