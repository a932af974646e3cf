"""The way to other networks, and the names of hosts."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from foundation.cli.doctor.examining import within
from foundation.cli.doctor.finding import Finding, bad, ok, warning
from foundation.cli.doctor.subject import Subject
from foundation.discovery.loopback import is_ip
from foundation.discovery.peers import parse_address

_ELSEWHERE = (
    ("IPv4", socket.AF_INET, ("192.0.2.1", "198.51.100.1", "203.0.113.1")),
    ("IPv6", socket.AF_INET6, ("2001:db8::1", "2001:db8:ffff::1")),
)
"""Addresses for documentation (RFC 5737, RFC 3849). One of them may by chance be on a network of this machine: the
way to all of a kind is the default one."""

_NOBODY = "foundation-doctor.invalid."
"""A name that does not exist (RFC 2606): whoever says so has been asked, and is there."""

_DNS_S = 4.0
_BY_DNS = {"dns", "kubernetes_dns", "kubernetes_dns_srv"}


def check_route(_subject: Subject) -> Iterator[Finding]:
    """Ask the system for the way to other networks; nothing is sent."""
    ways = {kind: [_source(family, address) for address in addresses] for kind, family, addresses in _ELSEWHERE}
    sources = {kind: found[-1] for kind, found in ways.items() if all(found)}
    if sources:
        yield ok("there is a default route: " + ", ".join(f"{kind} from {source}" for kind, source in sources.items()))
        return
    yield warning(
        "there is no default route: only networks to which this machine is attached can be reached",
        "nodes elsewhere, DNS servers elsewhere and the services of clouds are out of reach; add one if they are"
        " needed: ip route add default via GATEWAY",
    )


def check_dns(subject: Subject) -> Iterator[Finding]:
    """Look up this machine's own name, and whether anybody answers questions at all."""
    needed = bool(_BY_DNS & {*subject.strategies, *subject.fallback}) or any(
        not is_ip(parse_address(peer)[0]) for peer in subject.settings.peers if not subject.problems
    )
    own = socket.gethostname()
    told = _resolve(own)
    if isinstance(told, str):
        yield ok(f"{own}, the name of this machine, is {told}")
    else:
        yield warning(f"{own}, the name of this machine, {_unresolved(told)}", f"add it to /etc/hosts: 127.0.1.1 {own}")
    told = _resolve(_NOBODY)
    if isinstance(told, socket.gaierror) and told.errno not in {socket.EAI_AGAIN, socket.EAI_FAIL}:
        yield ok("a DNS server answers")
    elif isinstance(told, str):
        yield warning(
            f"the DNS server answers {told} for a name that does not exist", "use one that does not make up answers"
        )
    else:
        yield bad(
            f"no DNS server answers: {_unresolved(told)} (servers: {_servers()})",
            "correct /etc/resolv.conf, or the way there; until then use IP addresses",
            matters=needed,
        )


def _source(family: socket.AddressFamily, address: str) -> str:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as unsent:
            unsent.connect((address, 9))
            return str(unsent.getsockname()[0])
    except OSError:
        return ""


def _resolve(name: str) -> str | OSError:
    ask: Callable[[], str] = lambda: str(socket.getaddrinfo(name, None)[0][4][0])  # noqa: E731
    try:
        return within(_DNS_S, ask)
    except OSError as error:  # also TimeoutError
        return error


def _unresolved(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"cannot be resolved ({error.strerror})"
    return f"is not resolved within {_DNS_S:g} s"


def _servers() -> str:
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return "unknown"
    return ", ".join(line.split()[1] for line in lines if line.startswith("nameserver ")) or "none"
