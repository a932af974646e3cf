"""The port at which an orchestrator asks how a node is; uvicorn speaks HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextlib import contextmanager
from typing import Any, Self

from foundation.cluster.probes import Probes
from foundation.core.tasks import TaskScope
from foundation.errors import ListenError, MissingExtraError

try:
    import uvicorn
except ImportError:
    message = 'a port for probes needs uvicorn, which is not installed: pip install "foundation[probes]"'
    raise MissingExtraError(message) from None

_Message = MutableMapping[str, Any]
_MOST_AT_ONCE = 64
_END_S = 1


class _Server(uvicorn.Server):
    """Leaves the signals to the node."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class ProbeServer:
    """Answers from entering until leaving."""

    def __init__(self, probes: Probes, host: str, port: int) -> None:
        """``port`` 0 takes any free one: see :attr:`port`."""
        self.port = port
        self._probes = probes
        self._host = host
        settings = uvicorn.Config(
            self._respond,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_graceful_shutdown=_END_S,
        )
        self._server = _Server(settings)
        self._tasks = TaskScope("probes")
        self._serving: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        self._serving = self._tasks.start(self._server.serve([listener]), "answer probes")
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._server.should_exit = True
        await asyncio.wait([self._serving], timeout=2 * _END_S)
        await self._tasks.close()

    async def _respond(
        self,
        scope: _Message,
        _receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request, as ASGI has it."""
        status, kind, content = self._probes.answer(scope["path"])
        if scope["method"] not in {"GET", "HEAD"}:
            status, content = 405, b""
        headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        message = f"cannot listen for probes on {host}:{port}: {error.strerror}"
        raise ListenError(message) from None
