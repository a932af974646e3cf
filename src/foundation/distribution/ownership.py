"""In words for people: who decides about distributed children, which depends on nothing but the size. Pure."""

from __future__ import annotations

_MOST_REPLICATED = 10


def ownership(nodes: int) -> str:
    """Say how children are owned among so many nodes that are up, and why.

    The mechanism is one and the same: every node holds the rows of all children, and about each child the home of its
    name decides, whichever node that is. What changes with the size is what that amounts to: among few nodes each is
    home to a large part and could decide about any of them soon, among many each sees to a small part.
    """
    if nodes <= 1:
        return "local: this node is alone"
    if nodes <= _MOST_REPLICATED:
        return f"replicated: {nodes} nodes, every node knows every child"
    return f"partitioned: {nodes} nodes, each sees to about one child in {nodes}, and knows where the others are"
