"""How fast names are given, seen, found and lost."""
