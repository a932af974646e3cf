"""Programs to read first; the command line runs one of them as its demo."""
