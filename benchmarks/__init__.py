"""Benchmarks: each folder measures one thing and says in its docstring what."""
