"""``foundation doctor``: what on this machine would keep a node from its work, and what to do about it."""
