"""``foundation doctor``: look at everything that a node needs, and say what to do."""

from __future__ import annotations

import json as json_format
import os
from typing import Annotated

import typer

from foundation.cli.joining import ClusterName, ConfigFile, CookieFile, Host, Peers, Strategies, joining


def doctor(  # noqa: PLR0913 - the options of the command
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    ntp: Annotated[str | None, typer.Option(metavar="HOST", help="Ask this server of NTP too what time it is.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long the checks may take.")] = 15.0,
) -> int:
    """Say what would keep a node from its work here, and what to do about it; exit code 1 if anything does."""
    from foundation.cli.doctor.checks import CHECKS  # noqa: PLC0415 - only for this command
    from foundation.cli.doctor.examining import examine  # noqa: PLC0415
    from foundation.cli.doctor.finding import Verdict  # noqa: PLC0415
    from foundation.cli.doctor.subject import subject_of  # noqa: PLC0415

    given = joining(cluster_name, cluster, peer, host, cookie_file, config)
    findings = examine(subject_of(given, os.environ, ntp), CHECKS, timeout)
    if json:
        print(json_format.dumps({"findings": [finding.as_dict() for finding in findings]}, indent=2))
    else:
        from foundation.cli.doctor.table import print_findings  # noqa: PLC0415 - rich

        print_findings(findings)
    return int(any(finding.verdict is Verdict.PROBLEM for finding in findings))
