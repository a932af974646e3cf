"""All checks, in the order of the report."""

from __future__ import annotations

from collections.abc import Mapping

from foundation.cli.doctor.certificates import check_tls
from foundation.cli.doctor.clock import check_clock
from foundation.cli.doctor.configuring import check_configuration, check_environment
from foundation.cli.doctor.cookies import check_cookie
from foundation.cli.doctor.examining import Check
from foundation.cli.doctor.finding_nodes import check_extras, check_strategies
from foundation.cli.doctor.folders import check_permissions
from foundation.cli.doctor.limits import check_descriptors
from foundation.cli.doctor.listening import check_address, check_loopback
from foundation.cli.doctor.multicast import check_multicast
from foundation.cli.doctor.networks import check_dns, check_route

CHECKS: Mapping[str, Check] = {
    "environment": check_environment,
    "configuration": check_configuration,
    "cookie": check_cookie,
    "tls": check_tls,
    "permissions": check_permissions,
    "clock": check_clock,
    "open files": check_descriptors,
    "loopback": check_loopback,
    "address": check_address,
    "route": check_route,
    "dns": check_dns,
    "multicast": check_multicast,
    "extras": check_extras,
    "strategies": check_strategies,
}
