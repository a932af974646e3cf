"""What can be called on a process class, and how arguments and results become bytes and come back typed."""
