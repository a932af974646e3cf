"""The certificates of a node."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from foundation.cli.doctor.finding import Finding, ok, problem, warning
from foundation.cli.doctor.subject import Subject
from foundation.errors import ConfigurationError
from foundation.fabric.tls import Tls

_SOON_S = 14 * 86400.0


def check_tls(subject: Subject) -> Iterator[Finding]:
    """Let the node's certificate prove itself to the node: it is then good for others too."""
    options = subject.settings.fabric.tls
    if options is None:
        if subject.listens_to_others:
            yield warning(
                "there are no certificates: what nodes say to each other is not encrypted",
                "make some, unless the network is trusted: foundation certs init",
            )
        else:
            yield ok("there are no certificates, and no other machine to talk to")
        return
    try:
        expires = Tls(options).expires
    except ConfigurationError as error:
        yield problem(str(error), "correct the files, or make new ones: foundation certs issue")
        return
    left_s, until = expires - time.time(), f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%d}"
    if left_s < _SOON_S:
        yield warning(
            f"{options.certificate} is good until {until} only",
            "replace it: foundation certs issue; no restart is needed",
        )
    else:
        yield ok(f"{options.certificate} and its key belong together, {options.authority} accepts them, until {until}")
    key = Path(options.private_key)
    if os.name == "posix" and key.stat().st_mode & stat.S_IROTH:
        yield problem(f"every user can read the private key {key}", f"protect it: chmod 600 {key}")
