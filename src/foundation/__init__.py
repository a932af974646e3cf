"""Distributed Python as easy as single-node Python: a masterless cluster in a library."""

__version__ = "0.1.0"
