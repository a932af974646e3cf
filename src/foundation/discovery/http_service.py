"""Ask a service over HTTP: several endpoints in order, bounded answers, decoded strictly, failures in one line.

Only here is the client library for it imported, and only once a strategy that needs it is made.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from foundation.discovery.extras import missing_extra
from foundation.errors import ConfigurationError, DiscoveryError

T = TypeVar("T")

MOST_BYTES = 32 * 1024 * 1024
MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """The files of a TLS client, in PEM; None where there is none."""

    authority: str | None
    """Certificates of the authorities to believe; None believes those of the system."""

    certificate: str | None
    """The certificate of this client, for services that ask for one."""

    private_key: str | None
    """The key of that certificate."""


class RefusedError(DiscoveryError):
    """The service answered with an error."""

    def __init__(self, message: str, status: int, text: str) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status."""
        self.text = text
        """What it said, in one line."""


@dataclass(slots=True)
class Answer:
    """What came back: the body's bytes and the headers."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def decode(self, shape: type[T], service: str) -> T:
        """Return the body as ``shape``, or raise DiscoveryError."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.MsgspecError, UnicodeError) as error:
            message = f"{service} answered with what cannot be read: {error}; is it really {service} at that address?"
            raise DiscoveryError(message) from error


class HttpService:
    """The endpoints of one service; the one that answered last is asked first."""

    def __init__(self, service: str, strategy: str, endpoints: Iterable[str], files: ClientFiles) -> None:
        """Check the endpoints, as in ``http://127.0.0.1:2379``; ``service`` is its name in messages."""
        try:
            import httpx  # noqa: PLC0415 - an extra, loaded where it is used
        except ImportError as error:
            raise missing_extra(strategy, "httpx") from error
        self._httpx = httpx
        self._service = service
        self._endpoints = tuple(checked_url(strategy, endpoint) for endpoint in endpoints)
        if not self._endpoints:
            message = f"the discovery strategy {strategy!r} needs an endpoint, for example http://127.0.0.1:2379"
            raise ConfigurationError(message)
        self._files = files
        self._first = 0
        self._client: Any = None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._client is not None

    def open(self, headers: Mapping[str, str], timeout_s: float) -> None:
        """Make a client that sends ``headers`` and waits ``timeout_s`` for each step of an exchange."""
        is_tls = any(endpoint.startswith("https:") for endpoint in self._endpoints)
        self._client = self._httpx.AsyncClient(
            headers=dict(headers),
            timeout=timeout_s,
            verify=client_context(self._files, self._service) if is_tls else False,
            trust_env=False,  # a proxy that is meant for the internet has no business with this
            http2=False,
        )

    def set_header(self, name: str, value: str | None) -> None:
        """Send this header from now on, or no longer."""
        self._client.headers.pop(name, None)
        if value is not None:
            self._client.headers[name] = value

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def ask(self, method: str, path: str, **more: Any) -> Answer:  # noqa: ANN401 - what httpx takes
        """Return the whole answer; raises RefusedError for an error of the service, else DiscoveryError."""
        async with self.stream(method, path, **more) as response:
            body = bytearray()
            # Or the memory of a node would be at the mercy of whoever answers.
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    message = f"{self._service} answered with more than {MOST_BYTES} bytes"
                    raise DiscoveryError(message)
            return Answer(bytes(body), response.headers)

    async def lines(self, method: str, path: str, **more: Any) -> AsyncGenerator[bytes]:  # noqa: ANN401
        """Yield the lines of an answer that has no end, and wait for them as long as it takes."""
        async with self.stream(method, path, **more, timeout=self._httpx.Timeout(None)) as response:
            rest = b""
            async with aclosing(response.aiter_bytes()) as pieces:
                async for piece in pieces:
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield line
                    if len(rest) > MOST_BYTES:
                        message = f"{self._service} answered with a line of more than {MOST_BYTES} bytes"
                        raise DiscoveryError(message)

    @asynccontextmanager
    async def stream(self, method: str, path: str, **more: Any) -> AsyncGenerator[Any]:  # noqa: ANN401
        """Send a request to the first endpoint that takes it and hand out the answer before its body is read."""
        if self._client is None:
            message = f"{self._service} is not asked: the strategy is stopped"
            raise DiscoveryError(message)
        try:
            response = await self._send(method, path, more)
            try:
                if response.is_error:
                    await self._refuse(response)
                yield response
            finally:
                await response.aclose()
        except (self._httpx.HTTPError, self._httpx.InvalidURL, self._httpx.StreamError, OSError) as error:
            raise self._no_answer(error) from error

    async def _send(self, method: str, path: str, more: dict[str, Any]) -> Any:  # noqa: ANN401
        options = dict(more)
        timeout = options.pop("timeout", self._httpx.USE_CLIENT_DEFAULT)
        for left in reversed(range(len(self._endpoints))):
            request = self._client.build_request(
                method, self._endpoints[self._first] + path, **options, timeout=timeout
            )
            try:
                return await self._client.send(request, stream=True)
            except BaseException as error:
                # Also when cancelled: the next time another endpoint is asked, or one that hangs would be for ever.
                self._first = (self._first + 1) % len(self._endpoints)
                if not left or not isinstance(error, self._httpx.TransportError):
                    raise
        raise AssertionError

    async def _refuse(self, response: Any) -> None:  # noqa: ANN401
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MOST_TEXT:
                break
        text = " ".join(body.decode(errors="replace").split())[:MOST_TEXT]
        message = f"{self._service} at {self._shown()} answered {response.status_code}: {text or 'nothing'}"
        raise RefusedError(message, response.status_code, text)

    def _no_answer(self, error: Exception) -> DiscoveryError:
        why = str(error) or type(error).__name__
        shown = self._endpoints[0] if len(self._endpoints) == 1 else f"any of {', '.join(self._endpoints)}"
        return DiscoveryError(
            f"{self._service} does not answer at {shown} ({why}); does it run, and is that its address?"
        )

    def _shown(self) -> str:
        return self._endpoints[self._first]


def checked_url(strategy: str, url: str) -> str:
    """Return ``scheme://host:port/path`` without a slash at the end, or raise ConfigurationError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
        good, has_password = good and not parts.query and not parts.fragment, "@" in parts.netloc
    except ValueError:
        good, has_password = False, False
    if has_password:
        message = f"an endpoint of the discovery strategy {strategy!r} has a password in it; use the options for that"
        raise ConfigurationError(message)
    if not good:
        message = (
            f"the endpoint {url[:MOST_TEXT]!r} of the discovery strategy {strategy!r} cannot be used:"
            " it is written http://host:port or https://host:port"
        )
        raise ConfigurationError(message)
    return url.rstrip("/")


def client_context(files: ClientFiles, service: str) -> ssl.SSLContext:
    """Read the files, or raise ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=files.authority)
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.private_key)
    except (OSError, ValueError) as error:
        named = ", ".join(name for name in (files.authority, files.certificate, files.private_key) if name is not None)
        message = f"the TLS files for {service} cannot be read ({named}): {error}"
        raise ConfigurationError(message) from error
    return context
