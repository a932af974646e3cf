"""Tests of who is in the cluster."""
