"""Real servers for tests: each runs on a free port of loopback with its data in a temporary folder, for itself."""
