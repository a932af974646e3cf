"""What happens to members, as this node sees it."""

from __future__ import annotations

from dataclasses import dataclass

from foundation.membership.member import Member


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """Something happened to ``member``, which is shown as it is after it."""

    member: Member

    def __str__(self) -> str:
        """Print as a sentence."""
        return f"{self.member.name} is {self.member.status}"


class MemberJoining(MemberEvent):
    """A node was met that is not ready yet."""


class MemberUp(MemberEvent):
    """A node takes part: it joined, or it came back after it was down, with a higher incarnation."""


class MemberUpdated(MemberEvent):
    """A member says something new about itself: metadata, roles, the processes it can run."""


class MemberLeaving(MemberEvent):
    """A member takes no new work and is about to leave."""


class MemberLeft(MemberEvent):
    """A member has left as it announced."""

    def __str__(self) -> str:
        """Print as a sentence."""
        return f"{self.member.name} has left"


class MemberUnreachable(MemberEvent):
    """This node has lost its link to a member: an opinion, not a verdict."""


class MemberReachable(MemberEvent):
    """The link to an unreachable member is back; nothing was decided meanwhile."""


@dataclass(frozen=True, slots=True)
class MemberDown(MemberEvent):
    """A member is given up, with the reason. It may come back, with a higher incarnation."""

    reason: str = ""

    def __str__(self) -> str:
        """Print as a sentence with the reason."""
        return f"{self.member.name} is down: {self.reason}"
