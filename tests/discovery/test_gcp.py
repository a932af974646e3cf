"""Compute Engine as its published REST API describes it, answered by a double.

Differences from the real thing: the double knows instances only as the tests list them, reads filters only in the
form in which this library writes them, checks neither scopes nor rights by itself, and gives pages of two.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from foundation.discovery.catalog import make_strategy
from foundation.discovery.peers import Peer
from foundation.discovery.strategies.gcp import GcpOptions, GcpStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError, MissingExtraError
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.discovery.http_door import Answer, Request, as_json, never, serve

PROJECT = "shop-1"
FLAVOR = {"Metadata-Flavor": "Google"}
PAGE = 2


class Google:
    """The metadata server and the API, at one address."""

    def __init__(self) -> None:
        self.url = ""
        self.fault: Fault | None = None
        self.instances: list[dict[str, Any]] = []
        self.groups: dict[str, list[str]] = {}
        self.instead: Answer | None = None
        self.tokens = self.revoked = 0
        self.account = True
        self.asked: list[str] = []

    def add(self, name: str, ip: str, zone: str = "z-a", status: str = "RUNNING", **labels: str) -> str:
        link = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}/instances/{name}"
        access = {"natIP": f"203.0.113.{len(self.instances) + 1}", "kind": "compute#accessConfig"}
        interface = {"networkIP": ip, "accessConfigs": [access], "name": "nic0"}
        self.instances.append(
            {"selfLink": link, "status": status, "labels": labels, "networkInterfaces": [interface], "zone": zone}
        )
        return link

    async def list(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            ip, _, port = address.rpartition(":")
            self.add(f"n{port}", ip, app="shop", port=port)

    async def misbehave(self, fault: Fault | None) -> None:
        self.fault = fault

    async def answer(self, request: Request) -> Answer:
        path = urlsplit(request.target).path
        if path.startswith("/computeMetadata/v1/"):
            return self.metadata(path.removeprefix("/computeMetadata/v1/"), request)
        self.asked.append(path)
        if self.fault == "hang":
            return await never()
        if self.fault == "error":
            return Answer(503, b"no healthy upstream")
        if self.fault == "garbage":
            return Answer(200, b"<html>no such thing")
        number = request.headers.get("authorization", "").removeprefix("Bearer token-")
        if not number.isdecimal() or not self.revoked < int(number) <= self.tokens:
            return as_json({"error": {"code": 401, "message": "Invalid Credentials"}}, 401)
        whole = self.instead or self.api(request, path)
        return Answer(200, whole.body[: len(whole.body) // 2]) if self.fault == "half" else whole

    def metadata(self, path: str, request: Request) -> Answer:
        if request.headers.get("metadata-flavor") != "Google":
            return Answer(403)
        if path == "project/project-id":
            return Answer(200, PROJECT.encode(), FLAVOR)
        if path == "instance/service-accounts/default/token" and self.account:
            self.tokens += 1
            made = as_json({"access_token": f"token-{self.tokens}", "expires_in": 3599, "token_type": "Bearer"})
            return Answer(200, made.body, FLAVOR)
        return Answer(404, b"", FLAVOR)

    def api(self, request: Request, path: str) -> Answer:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.target).query).items()}
        place = path.removeprefix(f"/compute/v1/projects/{PROJECT}/")
        if found := re.fullmatch(r"(zones|regions)/([^/]+)/instanceGroups/([^/]+)/listInstances", place):
            return self.group(found[3], "region" if found[1] == "regions" else "", request, query)
        chosen = [] if self.fault == "empty" else self.filtered(query["filter"])
        if place == "aggregated/instances":
            page, after = self.page(chosen, query)
            items: dict[str, Any] = {"zones/z-c": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}
            for instance in page:
                items.setdefault(f"zones/{instance['zone']}", {"instances": []})["instances"].append(instance)
            return as_json({"kind": "compute#instanceAggregatedList", "items": items} | after)
        if found := re.fullmatch(r"zones/([^/]+)/instances", place):
            page, after = self.page([instance for instance in chosen if instance["zone"] == found[1]], query)
            return as_json({"kind": "compute#instanceList"} | ({"items": page} if page else {}) | after)
        return as_json({"error": {"code": 404, "message": "not found"}}, 404)

    def group(self, name: str, prefix: str, request: Request, query: dict[str, str]) -> Answer:
        if name not in self.groups:
            return as_json({"error": {"code": 404, "message": f"The resource '{name}' was not found"}}, 404)
        assert request.method == "POST"
        assert request.body.replace(b" ", b"") == b'{"instanceState":"RUNNING"}'
        page, after = self.page([{"instance": link, "status": "RUNNING"} for link in self.groups[name]], query)
        kind = f"compute#{'regionInstanceGroups' if prefix else 'instanceGroups'}ListInstances"
        return as_json({"kind": kind} | ({"items": page} if page else {}) | after)

    def filtered(self, text: str) -> list[dict[str, Any]]:
        chosen = self.instances
        for term in text.split(" AND "):
            parsed = re.fullmatch(r'\((?:(status)|labels\.(.+)) = "(.*)"\)', term)
            assert parsed, term
            chosen = [
                instance
                for instance in chosen
                if (instance["status"] if parsed[1] else instance["labels"].get(parsed[2])) == parsed[3]
            ]
        return chosen

    def page(self, found: list[Any], query: dict[str, str]) -> tuple[list[Any], dict[str, str]]:
        first = int(query.get("pageToken", "0"))
        after = {"nextPageToken": str(first + PAGE)} if first + PAGE < len(found) else {}
        return found[first : first + PAGE], after


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    double = Google()
    async with serve(double.answer) as double.url:
        yield double


async def look(google: Google, **options: Any) -> set[Peer]:
    urls = {"api_url": google.url, "metadata_url": google.url}
    strategy = make_strategy("gcp", {"port": 7000, **urls, **options})
    try:
        return set(await strategy.lookup())
    finally:
        await strategy.stop()


class TestGcpFaults(FaultContract):
    """Whatever becomes of Google Cloud, nobody is disconnected."""

    @pytest.fixture
    async def source(self, google: Google) -> Google:
        return google

    def make(self, source: Google) -> DiscoveryStrategy:
        return GcpStrategy(
            GcpOptions(
                port_label="port",
                labels={"app": "shop"},
                api_url=source.url,
                metadata_url=source.url,
                timeout_s=0.15,
                poll_interval_s=PERIOD_S,
            )
        )


async def test_instances_are_found_by_labels(google: Google) -> None:
    """Those that run and have all labels are found, over many pages, in all zones or in some."""
    for number in range(5):
        google.add(f"a{number}", f"10.0.0.{number}", "z-a" if number < 3 else "z-b", app="shop", tier="web")
    google.add("other", "10.0.1.1", app="shop", tier="db")
    google.add("stopped", "10.0.1.2", status="TERMINATED", app="shop", tier="web")
    google.add("own-port", "10.0.1.3", "z-b", app="shop", tier="web", port="7009")
    labels = {"app": "shop", "tier": "web"}
    ours = {Peer((f"10.0.0.{number}:7000",)) for number in range(5)}
    assert await look(google, labels=labels, port_label="port") == ours | {Peer(("10.0.1.3:7009",))}
    assert len(google.asked) == 3
    assert await look(google, labels=labels, zones=["z-a"]) == {Peer((f"10.0.0.{number}:7000",)) for number in range(3)}
    assert await look(google, labels=labels, zones=["z-c"]) == set()
    assert Peer(("203.0.113.1:7000",)) in await look(google, labels=labels, ip_type="public")
    assert await look(google, labels=labels, ip_type="ipv6") == set()


@pytest.mark.parametrize("where", [{"zones": ["z-a"]}, {"region": "r"}])
async def test_instances_are_found_by_group(google: Google, where: dict[str, Any]) -> None:
    """The running members of an instance group are found, of a zone or of a region."""
    links = [google.add(f"a{number}", f"10.0.0.{number}") for number in range(3)]
    google.add("other", "10.0.1.1")
    google.groups = {
        "web": [link.replace("www.googleapis.com", "compute.googleapis.com") for link in links],
        "none": [],
    }
    expected = {Peer((f"10.0.0.{number}:7000",)) for number in range(3)}
    assert await look(google, instance_group="web", **where) == expected
    assert await look(google, instance_group="none", **where) == set()
    with pytest.raises(DiscoveryError, match=r"does not have .*/gone/listInstances: check the project, zones and inst"):
        await look(google, instance_group="gone", **where)


async def test_garbage_hides_no_good_instances(google: Google) -> None:
    """Entries that are no instances, or have no address, are left out."""
    google.add("good", "10.0.0.1", app="shop")
    google.add("nowhere", "", app="shop")
    google.add("nonsense", "no address at all", app="shop")
    entries = ["text", None, {"selfLink": 5}, {"selfLink": "x", "status": "RUNNING"}, *google.instances]
    google.instead = as_json({"kind": "compute#instanceAggregatedList", "items": {"a": {"instances": entries}, "b": 1}})
    assert await look(google, labels={"app": "shop"}) == {Peer(("10.0.0.1:7000",))}


def refusal(status: int, message: str, **details: Any) -> Answer:
    return as_json({"error": {"code": status, "message": message, **details}}, status)


INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            refusal(403, "Required 'compute.instances.list' permission for 'projects/shop-1'"),
            "does not allow compute.instances.list: grant it to the service account",
        ),
        (refusal(403, "no"), "does not allow compute.instances.list"),
        (
            refusal(403, "no", details=[{"@type": INFO, "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]),
            "the scopes of this machine do not allow it: give it https://www.googleapis.com/auth/compute.readonly",
        ),
        (refusal(403, "no", errors=[{"reason": "insufficientPermissions"}]), "the scopes of this machine"),
        (refusal(403, "no", errors=[{"reason": "accessNotConfigured"}]), "gcloud services enable compute"),
        (refusal(403, "no", errors=[{"reason": "rateLimitExceeded"}]), "raise 'poll_interval_s'"),
        (refusal(404, "no"), "does not have /compute/v1/projects/shop-1/aggregated/instances: check the project"),
        (Answer(500, b"oops"), r"answers /compute/v1/.* with an error \(500: no reason given\)"),
        (as_json({"kind": "other"}), "does not answer as Google does: no compute#instanceAggregatedList"),
        (as_json([1]), "does not answer as Google does"),
        (
            as_json({"kind": "compute#instanceAggregatedList", "items": {"a": {"instances": 5}}}),
            "what is no list of instances",
        ),
    ],
)
async def test_refusals_are_explained(google: Google, answer: Answer, why: str) -> None:
    """Each error says what is missing: the permission, the scope, the API, or what to check."""
    google.instead = answer
    with pytest.raises(DiscoveryError, match=why):
        await look(google, labels={"app": "shop"})


async def test_token_is_kept_and_renewed(google: Google) -> None:
    """One token serves many lookups; one that is refused is replaced at the next lookup."""
    options = GcpOptions(port=7, labels={"app": "shop"}, api_url=google.url, metadata_url=google.url)
    strategy = GcpStrategy(options)
    try:
        for _ in range(3):
            assert list(await strategy.lookup()) == []
        assert google.tokens == 1
        google.revoked = 1
        with pytest.raises(DiscoveryError, match="refuses the token of the service account; a new one is fetched"):
            await strategy.lookup()
        assert list(await strategy.lookup()) == []
    finally:
        await strategy.stop()


async def test_other_machines_are_told_apart(google: Google) -> None:
    """Where there is no metadata server, or no service account, the error says so."""
    google.account = False
    with pytest.raises(DiscoveryError, match="has no service account: attach one, with the scope"):
        await look(google, labels={"app": "shop"})

    async def router(_request: Request) -> Answer:
        return Answer(200, b"welcome")

    async with serve(router) as url:
        with pytest.raises(DiscoveryError, match="is not the metadata server of Google Cloud; check 'metadata_url'"):
            await look(google, labels={"app": "shop"}, metadata_url=url)
    with pytest.raises(DiscoveryError, match=r"does not answer: .*; is this Google Cloud\?"):
        await look(google, labels={"app": "shop"}, metadata_url=url)


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without httpx the error says what to install."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match=r'pip install "foundation\[gcp\]"'):
        make_strategy("gcp", {"port": 7, "labels": {"app": "shop"}})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"port": 7}, "set 'labels' or 'instance_group'"),
        ({"labels": {"app": "shop"}}, "set 'port' to the nodes' FOUNDATION_PORT, or 'port_label'"),
        ({"port": 7, "instance_group": "g"}, "'instance_group' needs one zone or a region"),
        ({"port": 7, "instance_group": "g", "zones": ["a"], "region": "r"}, "needs one zone or a region"),
        ({"port": 7, "labels": {"a": "b"}, "region": "r"}, "'region' needs 'instance_group'"),
        ({"port": 7, "labels": {"a": 'b" OR "'}}, "cannot be a name of Google Cloud"),
        ({"port": 70000, "labels": {"a": "b"}}, "port 70000: take one from 1 to 65535"),
        ({"port": 7, "labels": {"a": "b"}, "ip_type": "nat"}, "cannot be used: .*ip_type"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], why: str) -> None:
    """What cannot work is refused when the strategy is made."""
    with pytest.raises(ConfigurationError, match=why):
        make_strategy("gcp", options)
