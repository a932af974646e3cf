"""One file for each way to find peers, loaded when its name is asked for."""
