"""One program per system: the same command line, the same shapes, one JSON line on standard output.

A program serves (``server``) or calls (``client``). It runs in the environment of the system that it measures, so it
imports nothing but that system, the standard library and the two files that all programs share.
"""
