"""A program that answers like the HTTP API of a Consul agent, as far as that is published and nodes use it.

What differs from Consul: one agent that is also the catalog, so that nothing lags; the index counts all changes, not
those of one service; of filters it understands none and answers 400; services whose checks failed stay for ever.

usage: python -m tests.services.consul_double PORT [TOKEN]
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

DATACENTER = "dc1"
LONGEST_WAIT_S = 300.0


class Catalog:
    """The services, their checks, and a number that counts the changes."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.index = 10
        self.services: dict[str, dict[str, Any]] = {}
        self.deadlines: dict[str, float] = {}
        self._passing: set[str] = set()

    def register(self, service: dict[str, Any]) -> None:
        ttl_s = float(service["Check"]["TTL"].removesuffix("s"))
        self.services[service["ID"]] = service | {"ttl_s": ttl_s}
        self.deadlines[service["ID"]] = time.monotonic() + ttl_s
        self._count()

    def beat(self, service_id: str) -> bool:
        if service_id not in self.services:
            return False
        self.deadlines[service_id] = time.monotonic() + self.services[service_id]["ttl_s"]
        self.expire()
        return True

    def deregister(self, service_id: str) -> bool:
        self.deadlines.pop(service_id, None)
        if self.services.pop(service_id, None) is None:
            return False
        self._count()
        return True

    def expire(self) -> None:
        """Count it as a change when a check has begun to fail, or to pass again."""
        passing = self.passing()
        if passing != self._passing:
            self._passing = passing
            self._count()

    def passing(self) -> set[str]:
        return {each for each, deadline in self.deadlines.items() if deadline > time.monotonic()}

    def wait(self, index: int, wait_s: float) -> None:
        end = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
        while self.index <= index and (left_s := end - time.monotonic()) > 0:
            self.changed.wait(min(left_s, 0.02))
            self.expire()

    def _count(self) -> None:
        self._passing = self.passing()
        self.index += 1
        self.changed.notify_all()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    catalog: ClassVar = Catalog()
    token: ClassVar[str] = ""

    def do_GET(self) -> None:
        self._handle(b"")

    def do_PUT(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as Python calls it
        """Say nothing."""

    def _handle(self, body: bytes) -> None:
        if self.token and self.headers.get("X-Consul-Token") != self.token:
            self._answer(403, "Permission denied: token with AccessorID '00000000' lacks permission")
            return
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        with self.catalog.changed:
            status, answer = self._route(unquote(address.path).removeprefix("/v1/"), query, body)
        self._answer(status, answer)

    def _route(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:  # noqa: PLR0911
        *folders, last = path.split("/")
        match self.command, "/".join(folders):
            case "PUT", "agent/service" if last == "register":
                self.catalog.register(json.loads(body))
                return 200, None
            case "PUT", "agent/service/deregister":
                return _known("service", last, self.catalog.deregister(last))
            case "PUT", "agent/check/pass":
                return _known("check", last, self.catalog.beat(last))
            case "GET", "agent" if last == "services":
                return 200, {each["ID"]: _service(each) for each in self.catalog.services.values()}
            case "GET", "catalog" if last == "datacenters":
                return 200, [DATACENTER]
            case "GET", "health/service" | "catalog/service":
                return self._list(folders[0], last, query)
            case _:
                return 404, f"no such path: {path}"

    def _list(self, kind: str, name: str, query: dict[str, str]) -> tuple[int, Any]:
        if query.get("dc", DATACENTER) != DATACENTER:
            return 500, "No path to datacenter"
        if "filter" in query:
            return 400, "this double understands no filter"
        if "index" in query:
            self.catalog.wait(int(query["index"]), float(query.get("wait", "300s").removesuffix("s")))
        self.catalog.expire()
        found = [each for each in self.catalog.services.values() if each["Name"] == name]
        if kind == "catalog":
            return 200, [_catalog_entry(each) for each in found]
        passing = self.catalog.passing()
        entries = [(each, each["ID"] in passing) for each in found]
        return 200, [_health_entry(each, passes) for each, passes in entries if passes or "passing" not in query]

    def _answer(self, status: int, answer: Any) -> None:
        is_text = isinstance(answer, str)
        content = answer.encode() if is_text else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if is_text else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Consul-Index", str(self.catalog.index))
        self.end_headers()
        self.wfile.write(content)


def _known(kind: str, name: str, is_known: bool) -> tuple[int, str | None]:
    return (200, None) if is_known else (404, f"Unknown {kind} ID {name!r}. Ensure that the {kind} ID is passed")


def _service(each: dict[str, Any]) -> dict[str, Any]:
    kept = {name: each.get(name) for name in ("ID", "Address", "Port", "Tags", "Meta")}
    return kept | {"Service": each["Name"]}


def _health_entry(each: dict[str, Any], passes: bool) -> dict[str, Any]:
    check = {"CheckID": each["ID"], "Status": "passing" if passes else "critical"}
    node = {"Node": "double", "Address": "127.0.0.1", "Datacenter": DATACENTER}
    return {"Node": node, "Service": _service(each), "Checks": [check]}


def _catalog_entry(each: dict[str, Any]) -> dict[str, Any]:
    named = {f"Service{name}": each.get(name) for name in ("ID", "Name", "Address", "Port", "Tags", "Meta")}
    return named | {"Node": "double", "Address": "127.0.0.1", "Datacenter": DATACENTER}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients may go at any time."""
        del request, client_address


if __name__ == "__main__":
    Handler.token = sys.argv[2] if len(sys.argv) > 2 else ""
    with _Server(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        print("ready", flush=True)  # noqa: T201 - who started it waits for that
        server.serve_forever()
