"""Finding peers: strategies look, the framework polls, and what it finds is only ever added."""
