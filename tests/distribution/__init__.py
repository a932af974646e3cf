"""How children are distributed."""
