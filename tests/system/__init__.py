"""Whole programs on real sockets, real signals and real cuts."""
