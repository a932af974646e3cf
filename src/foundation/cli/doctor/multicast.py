"""Multicast: whether a question of mDNS comes back on each network interface."""

from __future__ import annotations

import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterator

import ifaddr

from foundation.cli.doctor.finding import Finding, bad, ok, problem, warning
from foundation.cli.doctor.subject import Subject

_GROUP, _PORT = "224.0.0.251", 5353
_MULTICAST_ALL = 49  # IP_MULTICAST_ALL of Linux, which Python does not name
_WAIT_S = 0.7
_STRATEGIES = {"mdns", "gossip"}
_ADVICE = (
    "let packets to 224.0.0.0/4 pass in the firewall and the routes (UDP 5353), or find nodes in another way:"
    ' cluster = "static" with peers'
)


def check_multicast(subject: Subject) -> Iterator[Finding]:
    """Join the group of mDNS on each interface, ask there who is a node, and wait for one's own question."""
    using = _STRATEGIES & {*subject.strategies, *subject.fallback}
    others = {*subject.strategies} - _STRATEGIES
    addresses = {
        str(address.ip): adapter.nice_name
        for adapter in ifaddr.get_adapters()
        for address in adapter.ips
        if address.is_IPv4
    }
    if not addresses:
        yield problem("this machine has no network interface with an IPv4 address", "bring one up: ip link set lo up")
    for address, interface in addresses.items():
        why = why_not_heard(address)
        named = f"{interface} ({address})"
        is_used = bool(using) and (subject.listens_to_others or address.startswith("127."))
        used_by = f"used by {' and '.join(sorted(using))}" if is_used else "not used by this configuration"
        if not why:
            yield ok(f"{named}: a packet to {_GROUP} came back; {used_by}")
        elif is_used:
            yield bad(f"multicast does not work on {named}: {why}; {used_by}", _ADVICE, matters=not others)
        else:
            yield ok(f"multicast does not work on {named}: {why}; {used_by}")
    if why := _why_not_anywhere():
        yield warning(
            f"no packet to {_GROUP} can be sent without naming an interface: {why}",
            "nodes name theirs, so that this harms other programs only; what refuses it is shown by:"
            " ip route show table all 224.0.0.0/4, and ip route show default",
        )


def why_not_heard(address: str) -> str:
    """Return why a packet of the interface with this address does not come back to it; empty if it does."""
    step = f"cannot join {_GROUP}"
    question = _question()
    try:
        with _socket() as hearing, _socket() as asking:
            membership = struct.pack("4s4s", socket.inet_aton(_GROUP), socket.inet_aton(address))
            hearing.bind((_GROUP if sys.platform != "win32" else "", _PORT))
            hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            step = f"cannot send to {_GROUP}"
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            asking.bind((address, 0))
            asking.sendto(question, (_GROUP, _PORT))
            step = f"cannot hear {_GROUP}"
            return "" if _comes(hearing, question) else f"a packet to {_GROUP} was sent and never came"
    except OSError as error:
        return f"{step}: {error.strerror or error}"


def _why_not_anywhere() -> str:
    """Return why the system knows no way to the group by itself; empty if it does. Nothing is sent."""
    try:
        with _socket() as unsent:
            unsent.connect((_GROUP, _PORT))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for name in ("SO_REUSEADDR", "SO_REUSEPORT"):  # others on this machine hear mDNS too
        if hasattr(socket, name):
            made.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
    if sys.platform == "linux":
        made.setsockopt(socket.IPPROTO_IP, _MULTICAST_ALL, 0)  # only of the interface that was joined
    return made


def _comes(hearing: socket.socket, question: bytes) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while (left_s := deadline - time.monotonic()) > 0:
        hearing.settimeout(left_s)
        try:
            if hearing.recv(len(question) + 1) == question:
                return True
        except TimeoutError:
            break
    return False


def _question() -> bytes:
    """Ask for the nodes of Foundation (RFC 6762), with an identity by which the packet is told from others."""
    name = b"".join(bytes([len(label)]) + label for label in (b"_foundation", b"_tcp", b"local")) + b"\0"
    return secrets.token_bytes(2) + struct.pack("!5H", 0, 1, 0, 0, 0) + name + struct.pack("!2H", 12, 1)
