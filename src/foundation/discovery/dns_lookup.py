"""Ask name servers where nodes are: what all strategies that read DNS share, and the one file that knows dnspython.

An answer that is missing, broken or late is an error as long as nothing else was found; a name that exists and has no
records of a kind is an answer. A datagram that was cut short is asked for again over TCP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from foundation.discovery.peers import MOST_ADDRESSES, Peer, checked_peer, format_address
from foundation.errors import ConfigurationError, DiscoveryError

Kind = Literal["A", "AAAA", "SRV"]
ADDRESS_KINDS: tuple[Kind, ...] = ("A", "AAAA")
MOST_AT_ONCE = 16
TRIES = 3


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and how to read the answer."""

    names: tuple[str, ...]
    """Names to look up; one that ends with a dot is complete."""

    kinds: tuple[Kind, ...]
    """Types of records."""

    default_port: int
    """The port of addresses, which A and AAAA records do not tell."""

    resolve_targets: bool
    """Whether the names in SRV records are looked up too; else they are handed on as they are."""


class DnsLookup:
    """A stub resolver that returns peers."""

    def __init__(self, nameservers: tuple[str, ...], port: int, timeout_s: float) -> None:
        """Ask ``nameservers`` (IP addresses) at ``port``, or those of the system where there are none.

        A lookup takes ``timeout_s`` seconds at most. Raises ConfigurationError for what is no address, DiscoveryError
        where the system names no server.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
            if nameservers:
                self._resolver.port = port
                self._resolver.nameservers = list(nameservers)
                self._resolver.domain = dns.name.root
        except dns.resolver.NoResolverConfiguration as error:
            message = f"this system names no DNS server ({error}); set the option 'nameservers'"
            raise DiscoveryError(message) from error
        except ValueError as error:
            message = f"the option 'nameservers' must be IP addresses: {error}"
            raise ConfigurationError(message) from error
        self._resolver.lifetime = timeout_s
        self._resolver.timeout = timeout_s / TRIES
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self._free = asyncio.Semaphore(MOST_AT_ONCE)

    async def peers(self, question: Question) -> set[Peer]:
        """Return who is named in any answer; raises DiscoveryError if there is nobody and a question failed."""
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._ask(name, kind, question)) for name in question.names for kind in question.kinds
            ]
        outcomes = [task.result() for task in asked]
        found = {peer for outcome in outcomes if not isinstance(outcome, DiscoveryError) for peer in outcome}
        failures = [outcome for outcome in outcomes if isinstance(outcome, DiscoveryError)]
        if failures and not found:
            raise failures[0]
        return found

    async def _ask(self, name: str, kind: Kind, question: Question) -> Iterable[Peer] | DiscoveryError:
        try:
            answer = await self._records(name, kind)
            if kind == "SRV":
                return await self._services(answer, question.resolve_targets)
        except DiscoveryError as error:
            return error
        return [Peer((format_address(record.address, question.default_port),)) for record in answer]

    async def _records(self, name: str, kind: Kind) -> list[Any]:
        """Return the records of that type; none where the name has none."""
        try:
            async with self._free:
                answer = await self._resolver.resolve(
                    name, kind, search=True, raise_on_no_answer=False, backend=self._backend
                )
        except dns.resolver.NXDOMAIN as error:
            message = f"DNS knows no name {name!r}; check its spelling, and that the record has been made"
            raise DiscoveryError(message) from error
        except (dns.exception.DNSException, OSError, EOFError) as error:
            message = f"DNS cannot tell the {kind} records of {name!r}: {str(error) or type(error).__name__}"
            raise DiscoveryError(message) from error
        wanted = dns.rdatatype.from_text(kind)
        return [record for record in answer.rrset or () if record.rdtype == wanted]

    async def _services(self, records: Iterable[Any], resolve_targets: bool) -> set[Peer]:
        """Return a peer for each target, with its ports in the order of priority and weight."""
        targets: dict[str, list[int]] = {}
        for record in sorted(records, key=lambda record: (record.priority, -record.weight)):
            # The root as a target says that there is no such service.
            if record.target != dns.name.root and record.port:
                targets.setdefault(record.target.to_text(omit_final_dot=True), []).append(record.port)
        hosts: dict[str, tuple[str, ...]] = {name: (name,) for name in targets}
        if resolve_targets:
            async with asyncio.TaskGroup() as group:
                asked = {name: group.create_task(self._hosts(name)) for name in targets}
            hosts = {name: task.result() for name, task in asked.items()}
        peers = (peer_at(hosts[name], ports) for name, ports in targets.items())
        return {peer for peer in peers if peer is not None}

    async def _hosts(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a target; its name where it cannot be resolved, so that who dials may try."""
        hosts: list[str] = []
        for kind in ADDRESS_KINDS:
            try:
                hosts += [record.address for record in await self._records(f"{name}.", kind)]
            except DiscoveryError:
                continue
        return tuple(hosts) or (name,)


def peer_at(hosts: tuple[str, ...], ports: list[int]) -> Peer | None:
    """Return the peer that may answer at each of these ports of each of these hosts; None for hosts there cannot be."""
    addresses = dict.fromkeys(format_address(host, port) for port in ports for host in hosts)
    try:
        return checked_peer(Peer(tuple(islice(addresses, MOST_ADDRESSES))))
    except ConfigurationError:  # a name in DNS may have any letters
        return None


def check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``names`` when DNS can be asked for all of them, else raise ConfigurationError."""
    if not names:
        message = "DNS has to be asked for a name: set the option 'query'"
        raise ConfigurationError(message)
    for name in names:
        try:
            parsed = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError) as error:
            message = f"DNS cannot be asked for {name!r}: {error}"
            raise ConfigurationError(message) from error
        if parsed == dns.name.root:
            message = f"DNS cannot be asked for {name!r}: the name is empty"
            raise ConfigurationError(message)
    return names
