"""Whole nodes, several in one program."""
