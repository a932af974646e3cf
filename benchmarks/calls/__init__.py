"""Calls between two nodes: how long one takes and how many go through, beside other systems in the same run."""
