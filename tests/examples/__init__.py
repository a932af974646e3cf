"""The programs that a new user reads first."""
