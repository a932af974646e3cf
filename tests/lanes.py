"""Two lanes for ``make test``, one per worker: what lives in real time, in order; beside it, what only computes."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

COMPUTING = (
    "tests/config/",
    "tests/core/",
    "tests/distribution/",
    "tests/fabric/test_simulated_transport.py",
    "tests/membership/",
    "tests/registry/",
    "tests/replication/",
    "tests/simulate/",
    "tests/testing/",
    "tests/test_architecture.py",
    "tests/test_imports.py",
    "tests/typing/",
)
"""Tests in virtual time, and others that load a core and whose outcome no load changes. They share nothing, so that
each file can go to any worker that is free."""

REAL_TIME = "tests in real time"


class Lanes(LoadScopeScheduling):
    """Keep together, on one worker, the tests that measure time, load the machine or share its ports and services."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(COMPUTING) else REAL_TIME
