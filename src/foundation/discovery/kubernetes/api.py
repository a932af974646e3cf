"""Ask the API server of Kubernetes: list and watch one kind of object, with the service account of the pod."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import msgspec

from foundation.discovery.kubernetes.account import read_text
from foundation.errors import ConfigurationError, DiscoveryError

PAGE = 500
MOST_PAGES = 200
MOST_BYTES = 64 * 1024 * 1024
MOST_REFUSAL_BYTES = 64 * 1024
WATCH_S = 300
WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is, and what to show it."""

    server: str
    """As in ``https://10.0.0.1:443``."""

    token_file: Path
    """The token, read again for each request, because it is replaced while the pod runs."""

    authority_file: Path
    """The certificates to believe; there is no way to believe any."""

    timeout_s: float
    """Seconds that each step of an exchange may take."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects in one namespace."""

    group: str
    """Its API group; empty is the core."""

    name: str
    """Its name in addresses and in roles."""

    namespace: str

    selector: str
    """Labels that the objects must have, as in ``kubectl get --selector``."""

    @property
    def path(self) -> str:
        """Its part of the address."""
        root = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{self.name}"


class GoneError(DiscoveryError):
    """The server has forgotten that version; list again."""


class DeniedError(DiscoveryError):
    """The service account may not do that; says which rule is missing."""


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None


class Event(msgspec.Struct):
    """A line of a watch."""

    type: str
    object: msgspec.Raw = msgspec.Raw(b"null")


class _Status(msgspec.Struct):
    message: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects at one moment."""

    items: list[msgspec.Raw]
    version: str
    """The moment, from which a watch goes on."""


class KubernetesApi:
    """A client for one kind of objects; raises DiscoveryError for whatever goes wrong."""

    def __init__(self, access: Access, resource: Resource) -> None:
        """Read the authority's certificates; raises ConfigurationError where there are none."""
        self._access = access
        self._resource = resource
        self._is_tls = access.server.startswith("https:")
        self._client = httpx.AsyncClient(
            base_url=access.server,
            timeout=access.timeout_s,
            verify=context_of(access.authority_file) if self._is_tls else False,
            trust_env=False,  # the server is inside of the cluster; a proxy is for what is outside
            headers={"Accept": "application/json", "User-Agent": "foundation"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def list_all(self, *, cached: bool) -> Listing:
        """Return all objects; ``cached`` takes what the server has at hand, which may be old, and spares it work."""
        try:
            return await self._pages(cached)
        except GoneError:  # the moment of the first page is forgotten before the last was read
            return await self._pages(cached)

    async def _pages(self, cached: bool) -> Listing:
        items: list[msgspec.Raw] = []
        query = {"limit": str(PAGE)} | ({"resourceVersion": "0"} if cached else {})
        for _ in range(MOST_PAGES):
            page = await self._page(query)
            items += page.items or ()
            if not page.metadata.continue_:
                return Listing(items, page.metadata.resource_version)
            query = {"limit": str(PAGE), "continue": page.metadata.continue_}
        message = f"{self._server} has more than {MOST_PAGES * PAGE} {self._resource.name}; use a narrower selector"
        raise DiscoveryError(message)

    async def _page(self, query: dict[str, str]) -> _List:
        async with self._get("list", query, self._access.timeout_s) as response:
            content = await self._read(response, MOST_BYTES)
        try:
            return msgspec.json.decode(content, type=_List)
        except (msgspec.MsgspecError, UnicodeError) as error:
            message = f"{self._server} answered what is no list of {self._resource.name} ({error}); is it Kubernetes?"
            raise DiscoveryError(message) from error

    @asynccontextmanager
    async def watch(self, version: str) -> AsyncGenerator[AsyncIterator[list[Event]]]:
        """Yield the changes after that version, as they come, until the server ends the answer.

        Raises GoneError when it has forgotten that version.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }
        async with self._get(WATCH, query, None) as response:
            yield self._events(response)

    async def _events(self, response: httpx.Response) -> AsyncIterator[list[Event]]:
        rest = b""
        async for piece in response.aiter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > MOST_BYTES:
                message = f"{self._server} sent a line of more than {MOST_BYTES} bytes"
                raise DiscoveryError(message)
            if events := [self._event(line) for line in lines if line.strip()]:
                yield events

    def _event(self, line: bytes) -> Event:
        try:
            event = msgspec.json.decode(line, type=Event)
            status = msgspec.json.decode(event.object, type=_Status) if event.type == "ERROR" else None
        except (msgspec.MsgspecError, UnicodeError) as error:
            message = f"{self._server} sent what is no event: {error}"
            raise DiscoveryError(message) from error
        if status is not None:
            raise self._refusal(WATCH, status.code, status.message)
        return event

    @asynccontextmanager
    async def _get(self, verb: str, query: dict[str, str], read_s: float | None) -> AsyncGenerator[httpx.Response]:
        query = query | ({"labelSelector": self._resource.selector} if self._resource.selector else {})
        # Without TLS it is a proxy of this machine, which shows credentials of its own, and nobody else is to see ours.
        headers = {"Authorization": f"Bearer {read_text(self._access.token_file)}"} if self._is_tls else {}
        timeout = httpx.Timeout(self._access.timeout_s, read=read_s)
        try:
            async with self._client.stream(
                "GET", self._resource.path, params=query, headers=headers, timeout=timeout
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    content = await self._read(response, MOST_REFUSAL_BYTES)
                    raise self._refusal(verb, response.status_code, status_message(content))
                yield response
        except httpx.TimeoutException as error:
            message = f"{self._server} did not answer within {self._access.timeout_s:g} s"
            raise DiscoveryError(message) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            message = f"{self._server} does not answer: {str(error) or type(error).__name__}"
            raise DiscoveryError(message) from error

    async def _read(self, response: httpx.Response, most: int) -> bytes:
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > most:
                message = f"{self._server} answered with more than {most} bytes"
                raise DiscoveryError(message)
        return bytes(content)

    def _refusal(self, verb: str, code: int, text: str) -> DiscoveryError:
        match code:
            case HTTPStatus.GONE:
                return GoneError(f"{self._server} has forgotten that version: {text}")
            case HTTPStatus.UNAUTHORIZED:
                return DeniedError(
                    f"{self._server} does not believe the token in {self._access.token_file} (401); is it of this "
                    "cluster, and of a service account that still exists?"
                )
            case HTTPStatus.FORBIDDEN:
                return DeniedError(missing_rule(verb, self._resource, text))
            case HTTPStatus.NOT_FOUND:
                return DiscoveryError(f"{self._server} has no {self._resource.path} (404): {text}")
            case _:
                return DiscoveryError(f"{self._server} answered {code} to {verb} {self._resource.name}: {text}")

    @property
    def _server(self) -> str:
        return f"the API server at {self._access.server}"


def context_of(authority: Path) -> ssl.SSLContext:
    """Return a context that believes that authority alone; raises ConfigurationError where it cannot be read."""
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        message = (
            f"the API server's authority {authority} cannot be read ({why}); set the option 'ca_file', since a server "
            "is never believed without one"
        )
        raise ConfigurationError(message) from error


def missing_rule(verb: str, resource: Resource, text: str) -> str:
    """Name the rule that a role lacks, and the command that tells whether it is there."""
    found = re.search(r'User "([^"\s]{1,300})"', text)
    user = found[1] if found else f"system:serviceaccount:{resource.namespace}:default"
    qualified = f"{resource.name}.{resource.group}" if resource.group else resource.name
    return (
        f"Kubernetes forbids {user} to {verb} {resource.name} (403): its Role in the namespace {resource.namespace} "
        f'lacks {{apiGroups: ["{resource.group}"], resources: ["{resource.name}"], verbs: ["list", "watch"]}}; '
        f"test it: kubectl auth can-i {verb} {qualified} -n {resource.namespace} --as {user}"
    )


def status_message(content: bytes) -> str:
    """Return what a refusal says, in one line."""
    try:
        text = msgspec.json.decode(content, type=_Status).message
    except (msgspec.MsgspecError, UnicodeError):
        text = content[:200].decode(errors="replace")
    return " ".join(text.split())
