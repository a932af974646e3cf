"""Tests of Foundation."""
