"""Eclipse Zenoh as the engine; the only file that imports it.

Zenoh calls back from threads of its own. Every callback here puts what it got into one deque and wakes the event loop
once per burst, so that no other file ever sees a foreign thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zenoh

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.tasks import TaskScope
from foundation.errors import FabricError, FabricLostError, ListenError, UnreachableError
from foundation.fabric.options import TlsOptions
from foundation.fabric.transport import SessionSettings, Undo

logger = logging.getLogger(__name__)

RUNTIME = "(rx: (worker_threads: 16), tx: (worker_threads: 1), app: (worker_threads: 1))"
"""One thread to send gives the lowest latency; a user's own ZENOH_RUNTIME wins.

A link that died with bytes unsent lingers in close() for 10 s (a constant of Zenoh 1.x), on the thread that received:
while one thread received from all, the cut of one node delayed the news of all others. More of them cost nothing that
could be measured: 364 us and 98,900 calls/s against 374 us and 102,200 with one.
"""

_WATCH_INTERVAL_S = 0.5
_CALLER_END_S = 1.0
_PORT_TRIES = 5
_MEETING_POLL_S = 0.004
_INTERESTS_MS = 1000
_MOST_ENDPOINTS = 8
_MOST_INTRODUCERS = 32
_MOST_PUBLISHERS = 1024
_CLOSED = "the Zenoh session was closed under the node"


class Transport:
    """Open Zenoh sessions in peer mode."""

    async def open(self, settings: SessionSettings, lost: Callable[[str], None]) -> ZenohSession:
        """See the port."""
        os.environ.setdefault("ZENOH_RUNTIME", RUNTIME)
        for left in reversed(range(_PORT_TRIES if settings.port == 0 else 1)):
            port = settings.port or _free_port(settings.host)
            endpoint = _endpoint(settings, settings.host, port)
            try:
                async with asyncio.timeout(settings.open_timeout_s):
                    session = await asyncio.to_thread(_open, _configuration(settings, listen=[endpoint]), settings)
            except TimeoutError:
                message = f"the Zenoh session did not open within {settings.open_timeout_s} s"
                raise FabricError(message) from None
            except zenoh.ZError as error:
                if left == 0 or "in use" not in str(error):
                    raise _listen_error(settings, port, error) from None
            else:
                return ZenohSession(session, settings, endpoint, port, lost)
        raise AssertionError


class ZenohSession:
    """One Zenoh session, brought home to the event loop."""

    def __init__(
        self, session: zenoh.Session, settings: SessionSettings, endpoint: str, port: int, lost: Callable[[str], None]
    ) -> None:
        self._session = session
        self._settings = settings
        hosts = _addresses() if settings.host in {"0.0.0.0", "::"} else [settings.host]  # noqa: S104
        self.endpoints = tuple(_endpoint(settings, host, port) for host in hosts)
        self._own_endpoint = endpoint if hosts == [settings.host] else _own_endpoint(settings, hosts, port)
        self._inbox = _Inbox(asyncio.get_running_loop())
        self._declared: set[Any] = set()  # what Zenoh hands out ends when it is garbage collected
        self._publishers: dict[str, zenoh.Publisher] = {}
        self._callers: set[threading.Thread] = set()
        self._lost = lost
        self._introducers = ThreadPoolExecutor(_MOST_INTRODUCERS, "introducer")
        self._tasks = TaskScope("zenoh session")
        self._tasks.start(self._watch_over(), "watch over")

    def put(self, key: str, payload: bytes) -> None:
        """See the port. The publisher of a key is kept, which spares Zenoh the look-up and keeps the order."""
        with _closing_is_loss():
            publisher = self._publishers.get(key)
            if publisher is None:
                if len(self._publishers) >= _MOST_PUBLISHERS:
                    self._publishers.pop(next(iter(self._publishers))).undeclare()  # type: ignore[no-untyped-call]
                publisher = self._publishers[key] = self._session.declare_publisher(
                    key, congestion_control=zenoh.CongestionControl.BLOCK
                )
            publisher.put(payload)

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """See the port."""
        deliver = self._inbox.deliver

        def on_sample(sample: zenoh.Sample) -> None:
            deliver(receive, str(sample.key_expr), sample.payload.to_bytes())

        with _closing_is_loss():
            with self._noticing_threads():
                declared = self._session.declare_subscriber(expression, on_sample)
            return self._keep(declared)

    def declare(self, token: str) -> Undo:
        """See the port."""
        with _closing_is_loss():
            return self._keep(self._session.liveliness().declare_token(token))

    def watch(self, expression: str, changed: Callable[[str, bool], None]) -> Undo:
        """See the port."""
        deliver = self._inbox.deliver

        def on_sample(sample: zenoh.Sample) -> None:
            deliver(changed, str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT)

        with _closing_is_loss():
            with self._noticing_threads():
                declared = self._session.liveliness().declare_subscriber(expression, on_sample, history=True)
            return self._keep(declared)

    async def introduce(self, node: NodeId, endpoints: Sequence[str]) -> None:
        """Open a second, short session to both nodes, through which gossip makes them known to each other.

        Zenoh cannot add an endpoint to a session that is open; the introducer is the way around that. Each endpoint has
        one of its own, because Zenoh gives up when one of several does not answer.
        """
        if self._session.is_closed():
            message = "the session of this node is closed"
            raise UnreachableError(message)
        over = threading.Event()
        attempts = [
            asyncio.get_running_loop().run_in_executor(
                self._introducers, _introduce, self._introduction(endpoint), self._settings, over
            )
            for endpoint in endpoints[:_MOST_ENDPOINTS]
        ]
        timeout_s = self._settings.introduction_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_linked(node):
                    if all(attempt.done() for attempt in attempts):
                        cause = next((attempt.result() for attempt in attempts if not attempt.cancelled()), None)
                        message = f"no session at {', '.join(endpoints)} let this node in"
                        raise UnreachableError(message) from cause
                    await asyncio.sleep(_MEETING_POLL_S)  # Zenoh has no event for it
        except TimeoutError:
            message = f"no link with a session at {', '.join(endpoints)} came up within {timeout_s} s"
            raise UnreachableError(message) from None
        finally:
            over.set()

    def _is_linked(self, node: NodeId) -> bool:
        with suppress(zenoh.ZError):  # the session is closed
            return node in map(str, self._session.info.peers_zid())
        return False

    def _introduction(self, endpoint: str) -> zenoh.Config:
        settings = self._settings
        timeout_ms = str(int(settings.introduction_timeout_s * 1000))
        configuration = _configuration(settings, connect=[self._own_endpoint, endpoint])
        configuration.insert_json5("connect/exit_on_failure", "true")
        configuration.insert_json5("connect/timeout_ms", timeout_ms)
        configuration.insert_json5("scouting/gossip/autoconnect", "[]")
        return configuration

    async def close(self) -> None:
        """See the port."""
        try:
            await self._tasks.close()
        finally:
            self._inbox.close()
            self._introducers.shutdown(wait=False, cancel_futures=True)
            # Not to be cancelled: the threads of an open session keep the interpreter from ending.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._close_session))

    def _close_session(self) -> None:
        with suppress(zenoh.ZError):
            self._session.close()  # type: ignore[no-untyped-call]
        for thread in self._callers:
            thread.join(_CALLER_END_S)

    @contextmanager
    def _noticing_threads(self) -> Generator[None]:
        """Remember the daemon thread that Zenoh starts for a callback.

        It ends soon after the session; were the interpreter to end first, that thread would abort the program.
        """
        before = set(threading.enumerate())
        yield
        self._callers |= {thread for thread in set(threading.enumerate()) - before if "pyo3" in thread.name}

    def _keep(self, declared: Any) -> Undo:  # noqa: ANN401 - subscribers and tokens share no type
        self._declared.add(declared)

        def undo() -> None:
            if declared in self._declared:
                self._declared.remove(declared)
                with suppress(zenoh.ZError):
                    declared.undeclare()

        return undo

    async def _watch_over(self) -> None:
        while not self._session.is_closed():  # noqa: ASYNC110 - Zenoh has no event for this
            await asyncio.sleep(_WATCH_INTERVAL_S)
        self._lost(_CLOSED)


@contextmanager
def _closing_is_loss() -> Generator[None]:
    try:
        yield
    except zenoh.ZError as error:
        if "session closed" in str(error):
            raise FabricLostError(_CLOSED) from None
        raise


class _Inbox:
    """From Zenoh's threads to the loop: one wake-up per burst."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Callable[..., None], str, Any]] = deque()
        self._awake = False
        self._closed = False

    def deliver(self, receive: Callable[..., None], key: str, value: Any) -> None:  # noqa: ANN401
        self._waiting.append((receive, key, value))
        if not self._awake and not self._closed:
            self._awake = True
            with suppress(RuntimeError):  # the loop was closed without closing the session
                self._loop.call_soon_threadsafe(self._drain)

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()

    def _drain(self) -> None:
        self._awake = False
        # Only what is here now: a flood must not keep the loop from its other work.
        for _ in range(len(self._waiting)):
            if self._closed or not self._waiting:
                return
            receive, key, value = self._waiting.popleft()
            try:
                receive(key, value)
            except Exception:
                logger.exception("what came over the wire could not be handled: %.200s", key)


def _configuration(
    settings: SessionSettings, *, listen: Sequence[str] = (), connect: Sequence[str] = ()
) -> zenoh.Config:
    configuration = zenoh.Config()
    timeout_ms = int(settings.introduction_timeout_s * 1000)
    values: dict[str, object] = {
        "mode": "peer",
        "namespace": settings.namespace,
        "listen/endpoints": list(listen),
        "connect/endpoints": list(connect),
        "scouting/multicast/enabled": False,
        "transport/link/tx/lease": int(settings.lease_s * 1000),
        "transport/shared_memory/enabled": False,
        # Batches of 64 KB, as many as Zenoh allows. Beyond them a put holds the loop up for 5 s while the network is
        # cut; with the default of 2 that began at 130 KB, far within a window.
        "transport/link/tx/queue/size/data": 16,
        # Of two peers that hear of each other only one dials. If both did, each could accept the other's link and
        # then close its own as one too many; both would be gone, and Zenoh would not try again.
        "scouting/gossip/autoconnect_strategy": {"peer": {"to_router": "always", "to_peer": "greater-zid"}},
        # A dial into a black hole blocks further dials to the same peer until it times out.
        "transport/unicast/open_timeout": timeout_ms,
        "transport/unicast/accept_timeout": timeout_ms,
        # A session that closes while it still owes an answer to an interest, as an introducer may, holds back the news
        # of vanished tokens until this is over: 10 s by default, longer than any lease here.
        "routing/interests/timeout": _INTERESTS_MS,
    }
    if listen:
        values["id"] = settings.node
    if settings.tls:
        values |= _tls(settings.tls)
    for key, value in values.items():
        configuration.insert_json5(key, json.dumps(value))
    return configuration


def _tls(options: TlsOptions) -> dict[str, object]:
    return {
        "transport/link/protocols": ["tls"],  # what others claim to listen at must not lead to a link in the clear
        "transport/link/tls": {
            "root_ca_certificate": options.authority,
            "listen_certificate": options.certificate,
            "listen_private_key": options.private_key,
            "connect_certificate": options.certificate,
            "connect_private_key": options.private_key,
            "enable_mtls": options.mutual,
            "verify_name_on_connect": options.verify_names,
        },
    }


def _introduce(configuration: zenoh.Config, settings: SessionSettings, over: threading.Event) -> Exception | None:
    """Keep an introducer open until it is over, in a thread; return why it could not be opened."""
    try:
        introducer = _open(configuration, settings)
    except zenoh.ZError as error:
        return error
    over.wait()
    introducer.close()  # type: ignore[no-untyped-call]
    return None


def _credentials(cookie: Secret, namespace: str) -> tuple[str, str]:
    """Derive a user and a password for each cookie, so that the cookie itself reaches no file."""
    return cookie.prove(b"zenoh user", namespace.encode()).hex()[:32], cookie.prove(b"zenoh", namespace.encode()).hex()


def _open(configuration: zenoh.Config, settings: SessionSettings) -> zenoh.Session:
    """Open a session; Zenoh wants the accepted passwords in a file, which exists only meanwhile."""
    if not settings.cookie:
        return zenoh.open(configuration)
    accepted = [_credentials(cookie, settings.namespace) for cookie in settings.cookie.accepted]
    descriptor, path = tempfile.mkstemp(prefix="foundation-")  # readable by its owner only
    try:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{user}:{password}\n" for user, password in accepted)
        own = {"user": accepted[0][0], "password": accepted[0][1], "dictionary_file": path}
        configuration.insert_json5("transport/auth/usrpwd", json.dumps(own))
        return zenoh.open(configuration)
    finally:
        Path(path).unlink(missing_ok=True)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            message = f"cannot listen on {host}: {error.strerror}"
            raise ListenError(message) from None
        return int(probe.getsockname()[1])


def _listen_error(settings: SessionSettings, port: int, error: Exception) -> FabricError:
    where = f"{settings.host}:{port}"
    if "in use" in str(error):
        return ListenError(
            f"cannot listen on {where}: the port is in use; stop its user or choose another session_port"
        )
    if "listener" in str(error):
        return ListenError(f"cannot listen on {where}: {error}")
    return FabricError(f"the Zenoh session cannot be opened: {error}")


def _endpoint(settings: SessionSettings, host: str, port: int) -> str:
    return f"{'tls' if settings.tls else 'tcp'}/{f'[{host}]' if ':' in host else host}:{port}"


def _own_endpoint(settings: SessionSettings, hosts: Sequence[str], port: int) -> str:
    """Return where a session that listens everywhere meets itself: where its certificate holds, if names matter."""
    verifies_names = settings.tls is not None and settings.tls.verify_names
    return _endpoint(settings, hosts[0] if verifies_names else "127.0.0.1", port)


def _addresses() -> list[str]:
    """Return the addresses under which other machines may know this one; loopback only if there is no other.

    To another machine a loopback address means itself.
    """
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks the kernel which address it would send from
        found.add(str(probe.getsockname()[0]))
    return sorted(address for address in found if not address.startswith("127.")) or ["127.0.0.1"]
