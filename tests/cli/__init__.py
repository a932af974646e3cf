"""The command line, in OS processes of its own."""
