"""Processes: state behind methods that are called the same from near and far."""
