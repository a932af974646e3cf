"""A double of the API server of Kubernetes, after its published API: lists in pages, watches, bookmarks, refusals.

It differs from the real one: it knows no schema and stores what a test gives it; of selectors it understands equality;
one version counts for all objects; it checks a token but no roles, which a test takes away by hand; and it fails on
demand. Clients cannot tell its answers from real ones as far as the strategy reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Mode = Literal["well", "unavailable", "hang", "garbage", "empty", "gone"]
NAMESPACE = "shop"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:web"


class ApiServer:
    """Serves objects at their paths."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()
        self._objects: dict[str, dict[str, dict[str, Any]]] = {}
        self._history: list[tuple[int, str, str, dict[str, Any]]] = []
        self._version = 100
        self._forgotten = 0
        self.mode: Mode = "well"
        self.token: str | None = None
        self.denied: set[str] = set()
        """Verbs that the account may not use."""
        self.page = 2
        """Most objects that a page has, whatever the client would take."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and query of each."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def asked(self, verb: Literal["list", "watch"]) -> list[dict[str, str]]:
        """Return the queries of the requests of that kind."""
        return [query for _, query in self.requests if ("watch" in query) == (verb == "watch")]

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._connections:
            writer.transport.abort()

    async def put(self, path: str, item: dict[str, Any]) -> None:
        """Add or replace an object."""
        known = self._objects.setdefault(path, {})
        kind = "MODIFIED" if item["metadata"]["name"] in known else "ADDED"
        await self._log(kind, path, item)
        known[item["metadata"]["name"]] = item

    async def remove(self, path: str, name: str) -> None:
        await self._log("DELETED", path, self._objects[path].pop(name))

    async def bookmark(self, path: str) -> None:
        """Tell those who watch which version is reached."""
        await self._log("BOOKMARK", path, {"kind": "Pod", "metadata": {"name": "", "creationTimestamp": None}})

    async def say(self, path: str, kind: str, item: dict[str, Any]) -> None:
        """Send an event of any kind."""
        await self._log(kind, path, item)

    def forget(self) -> None:
        """Compact the history: who asks for an older version has to list again."""
        self._forgotten = self._version

    async def _log(self, kind: str, path: str, item: dict[str, Any]) -> None:
        async with self._changed:
            self._version += 1
            item.setdefault("metadata", {})["resourceVersion"] = str(self._version)
            self._history.append((self._version, path, kind, item))
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    await self._answer(head, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        target = head.split(" ", 2)[1]
        path = urlsplit(target).path
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        self.requests.append((path, query))
        verb = "watch" if "watch" in query else "list"
        if self.mode == "hang":
            await asyncio.Event().wait()
        if self.mode == "garbage":
            _respond(writer, 200, b'{"items": [{"metadata": ')
        elif self.mode == "unavailable":
            _respond(writer, 503, b"upstream connect error")
        elif self.token is not None and f"authorization: bearer {self.token}".lower() not in head.lower():
            _refuse(writer, 401, "Unauthorized")
        elif verb in self.denied:
            name = path.rpartition("/")[2]
            group = "discovery.k8s.io" if "discovery" in path else ""
            said = f'{name}.{group} is forbidden: User "{SERVICE_ACCOUNT}" cannot {verb} resource "{name}" in API group'
            _refuse(writer, 403, f'{said} "{group}" in the namespace "{NAMESPACE}"')
        elif verb == "watch":
            await self._watch(path, query, writer)
        else:
            self._list(path, query, writer)

    def _list(self, path: str, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        labels = dict(part.split("=") for part in unquote(query.get("labelSelector", "")).split(",") if part)
        items = [each for each in self._objects.get(path, {}).values() if _has(each, labels)]
        if self.mode == "empty":
            items = []
        begin = 0
        if "continue" in query:
            version, _, begin_text = query["continue"].partition(":")
            begin = int(begin_text)
            if int(version) < self._forgotten:
                _refuse(writer, 410, "The provided continue parameter is too old")
                return
        end = begin + min(self.page, int(query.get("limit", "1000000")))
        metadata = {"resourceVersion": str(self._version)}
        if end < len(items):
            metadata["continue"] = f"{self._version}:{end}"
        _respond(writer, 200, json.dumps({"kind": "List", "metadata": metadata, "items": items[begin:end]}).encode())

    async def _watch(self, path: str, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        labels = dict(part.split("=") for part in unquote(query.get("labelSelector", "")).split(",") if part)
        seen = int(query["resourceVersion"])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            if seen < self._forgotten or self.mode == "gone":
                _chunk(writer, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
                break
            for version, where, kind, item in self._history:
                if version > seen and where == path and (kind not in ("ADDED", "MODIFIED") or _has(item, labels)):
                    _chunk(writer, {"type": kind, "object": item})
            seen = self._version
            await writer.drain()
            async with self._changed:
                while self._version == seen:
                    await self._changed.wait()
        writer.write(b"0\r\n\r\n")


def _has(item: dict[str, Any], labels: dict[str, str]) -> bool:
    return labels.items() <= item["metadata"].get("labels", {}).items()


def _chunk(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    line = json.dumps(event).encode() + b"\n"
    writer.write(b"%x\r\n%s\r\n" % (len(line), line))


def _refuse(writer: asyncio.StreamWriter, code: int, message: str) -> None:
    _respond(writer, code, json.dumps({"kind": "Status", "code": code, "message": message}).encode())


def _respond(writer: asyncio.StreamWriter, code: int, body: bytes) -> None:
    writer.write(b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n" % code)
    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


@contextlib.asynccontextmanager
async def api_server(context: ssl.SSLContext | None = None) -> AsyncGenerator[ApiServer]:
    """Run the double."""
    server = ApiServer(context)
    await server.open()
    try:
        yield server
    finally:
        await server.close()


def pod(name: str, *ips: str, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return a pod as the API shows it; ``more`` are ``phase``, ``hostname``, ``subdomain``, ``ports``, ``deleted``."""
    ports = [{"name": key, "containerPort": number} for key, number in more.get("ports", {"foundation": 4711}).items()]
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "labels": labels or {"app": "foundation"}}
    if more.get("deleted"):
        metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "web", "ports": ports}]}
    spec |= {key: more[key] for key in ("hostname", "subdomain") if key in more}
    status: dict[str, Any] = {"phase": more.get("phase", "Running"), "podIPs": [{"ip": ip} for ip in ips]}
    if ips:
        status["podIP"] = ips[0]
    return {"metadata": metadata, "spec": spec, "status": status}


def endpoint(pod_name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    """Return an endpoint of a slice; ``more`` are ``hostname`` and conditions."""
    conditions = {"ready": True, "serving": True, "terminating": False}
    conditions |= {key: more[key] for key in conditions if key in more}
    reference = {"kind": "Pod", "name": pod_name, "namespace": NAMESPACE, "uid": f"uid-{pod_name}"}
    made = {"addresses": list(addresses), "conditions": conditions, "targetRef": reference}
    return made | ({"hostname": more["hostname"]} if "hostname" in more else {})


def slice_of(name: str, *endpoints: Any, **more: Any) -> dict[str, Any]:
    """Return an EndpointSlice; ``more`` are ``labels``, ``service``, ``ports``."""
    labels = {"app": "foundation", "kubernetes.io/service-name": more.get("service", "web")} | more.get("labels", {})
    ports = [{"name": key, "port": number} for key, number in more.get("ports", {"foundation": 4711}).items()]
    metadata = {"name": name, "uid": f"uid-{name}", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": list(endpoints) or None, "ports": ports or None}
