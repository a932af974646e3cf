"""EC2 and ECS as moto's server has them; a proxy in front of it brings the faults, and a double the metadata service.

Differences from the real thing: moto has no metadata service at its address, does not filter tasks by their service,
and checks signatures and rights only when told to.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any

import boto3.session
import httpx
import pytest

from foundation.discovery.catalog import make_strategy
from foundation.discovery.peers import Peer
from foundation.discovery.strategies.aws import AwsOptions, AwsStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError, MissingExtraError
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.discovery.http_door import Answer, Request, as_json, never, serve

REGION = "eu-central-1"
IMAGE = "ami-12c6146b"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server; it answers until the module's tests are over."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        deadline = time.monotonic() + 25
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > deadline or server.poll() is not None:
                server.kill()
                pytest.fail("moto's server does not start")
        yield f"http://127.0.0.1:{port}"
        server.kill()


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials, and nothing of whoever runs the tests."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def cloud(moto: str) -> str:
    """Forget what other tests left there."""
    post(f"{moto}/moto-api/reset")
    return moto


def post(url: str, body: bytes = b"", kind: str = "text/plain") -> None:
    request = urllib.request.Request(url, data=body, method="POST", headers={"Content-Type": kind})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.status < 300


@cache
def session() -> Any:
    return boto3.session.Session()


def client(service: str, url: str) -> Any:
    return session().client(
        service, region_name=REGION, endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret"
    )


def run_instance(url: str, ip: str, **tags: str) -> dict[str, Any]:
    with closing(client("ec2", url)) as ec2:
        named = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = ec2.run_instances(
            ImageId=IMAGE,
            MinCount=1,
            MaxCount=1,
            PrivateIpAddress=ip,
            TagSpecifications=[{"ResourceType": "instance", "Tags": named}],
        )
        instance: dict[str, Any] = made["Instances"][0]
        return instance


async def look(url: str, **options: Any) -> list[Peer]:
    strategy = make_strategy("aws", {"region": REGION, "endpoint_url": url} | options)
    try:
        return list(await strategy.lookup())
    finally:
        await strategy.stop()


class Ec2:
    """Instances on this machine, which differ by a tag with their port, behind a proxy with faults."""

    def __init__(self, moto: str) -> None:
        self.moto = moto
        self.url = ""
        self.fault: Fault | None = None
        self.http = httpx.AsyncClient()

    async def list(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            ip, _, port = address.rpartition(":")
            await asyncio.to_thread(run_instance, self.moto, ip, cluster="shop", port=port)

    async def misbehave(self, fault: Fault | None) -> None:
        self.fault = fault

    async def answer(self, request: Request) -> Answer:
        if self.fault == "hang":
            return await never()
        if self.fault == "error":
            return Answer(503, b"<Response><Errors><Error><Code>Unavailable</Code></Error></Errors></Response>")
        if self.fault == "garbage":
            return Answer(200, b"<html>no such thing")
        body = request.body.replace(b"shop", b"none") if self.fault == "empty" else request.body
        headers = {name: request.headers[name] for name in ("authorization", "content-type")}
        got = await self.http.request(request.method, self.moto + request.target, content=body, headers=headers)
        whole = got.content
        return Answer(got.status_code, whole[: len(whole) // 2] if self.fault == "half" else whole)


class TestAwsFaults(FaultContract):
    """Whatever becomes of EC2, nobody is disconnected."""

    @pytest.fixture
    async def source(self, cloud: str) -> AsyncIterator[Ec2]:
        ec2 = Ec2(cloud)
        async with ec2.http, serve(ec2.answer) as ec2.url:
            yield ec2

    def make(self, source: Ec2) -> DiscoveryStrategy:
        options = AwsOptions(
            port_tag="port",
            tag_name="cluster",
            tag_value="shop",
            region=REGION,
            endpoint_url=source.url,
            timeout_s=0.2,
            poll_interval_s=PERIOD_S,
        )
        made = AwsStrategy(options)
        made._client("ec2")  # which takes longer than these tests have
        return made


async def test_instances_are_found_by_tag(cloud: str) -> None:
    """Those that run and have the tag's value are found, at the address that was asked for, with their port."""
    one = run_instance(cloud, "10.0.0.1", cluster="shop")
    run_instance(cloud, "10.0.0.2", cluster="shop", port="7009")
    run_instance(cloud, "10.0.0.3", cluster="bank")
    stopped = run_instance(cloud, "10.0.0.4", cluster="shop")
    with closing(client("ec2", cloud)) as ec2:
        ec2.stop_instances(InstanceIds=[stopped["InstanceId"]])
        (reservation,) = ec2.describe_instances(InstanceIds=[one["InstanceId"]])["Reservations"]
    public = reservation["Instances"][0]["PublicIpAddress"]
    asked = {"tag_name": "cluster", "tag_value": "shop", "port": 7000, "port_tag": "port"}
    assert set(await look(cloud, **asked)) == {Peer(("10.0.0.1:7000",)), Peer(("10.0.0.2:7009",))}
    assert Peer((f"{public}:7000",)) in await look(cloud, **asked, ip_type="public")
    assert await look(cloud, **asked, ip_type="ipv6") == []
    only = {"instance-id": [one["InstanceId"]]}
    assert await look(cloud, port=7000, filters=only) == [Peer(("10.0.0.1:7000",))]


async def test_pages_are_put_together(cloud: str) -> None:
    """An answer in many pages counts as a whole."""
    for number in range(12):
        run_instance(cloud, f"10.0.1.{number + 1}", cluster="shop")
    strategy = AwsStrategy(AwsOptions(port=7, tag_name="cluster", tag_value="shop", region=REGION, endpoint_url=cloud))
    ec2 = strategy._client("ec2")
    paginator = ec2.get_paginator("describe_instances")
    real, pages = paginator.paginate, list[Any]()

    def small(**arguments: Any) -> Any:
        for page in real(**arguments, PaginationConfig={"PageSize": 5}):
            pages.append(page)
            yield page

    paginator.paginate = small
    ec2.get_paginator = lambda _name: paginator
    try:
        assert len(list(await strategy.lookup())) == 12
    finally:
        await strategy.stop()
    assert len(pages) == 3


async def test_tasks_are_found(cloud: str) -> None:
    """Running tasks with network interfaces are found, of a whole cluster or of services."""
    hold = b'{"model_name": "ecs::task", "transition": {"progression": "manual", "times": 1000}}'
    post(f"{cloud}/moto-api/state-manager/set-transition", hold, "application/json")
    with closing(client("ecs", cloud)) as ecs, closing(client("ec2", cloud)) as ec2:
        ecs.create_cluster(clusterName="shop")
        ecs.create_cluster(clusterName="empty")
        container = {"name": "node", "image": "node", "memory": 1, "cpu": 1}
        ecs.register_task_definition(family="node", networkMode="awsvpc", containerDefinitions=[container])
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}
        made = ecs.run_task(
            cluster="shop", taskDefinition="node", launchType="FARGATE", count=2, networkConfiguration=network
        )["tasks"]
    details = [task["attachments"][0]["details"] for task in made]
    ips = [next(pair["value"] for pair in some if pair["name"] == "privateIPv4Address") for some in details]
    expected = {Peer((f"{ip}:7000",)) for ip in ips}
    assert set(await look(cloud, port=7000, ecs_cluster="shop")) == expected
    assert set(await look(cloud, port=7000, ecs_cluster="shop", ecs_services=["web", "api"])) == expected
    assert await look(cloud, port=7000, ecs_cluster="shop", ip_type="public") == []
    assert await look(cloud, port=7000, ecs_cluster="empty") == []
    with pytest.raises(DiscoveryError, match=r"AWS refuses ecs:ListTasks \(ClusterNotFoundException"):
        await look(cloud, port=7000, ecs_cluster="none")


class Metadata:
    """The metadata service, version 2, of an instance that shows its tags or not."""

    def __init__(self, instance: str, **tags: str) -> None:
        self.found = {"instance-id": instance, "placement/region": REGION}
        self.found |= {f"tags/instance/{key}": value for key, value in tags.items()}

    async def answer(self, request: Request) -> Answer:
        if (request.method, request.target) == ("PUT", "/latest/api/token"):
            return Answer(200 if "x-aws-ec2-metadata-token-ttl-seconds" in request.headers else 400, b"token")
        if request.headers.get("x-aws-ec2-metadata-token") != "token":
            return Answer(401)
        value = self.found.get(request.target.removeprefix("/latest/meta-data/"))
        return Answer(404) if value is None else Answer(200, value.encode())


async def test_own_tag_and_region_come_from_the_instance(cloud: str) -> None:
    """Without a value the peers are those with the value of this instance, whether or not it shows its tags."""
    mine = run_instance(cloud, "10.0.0.1", cluster="shop")
    run_instance(cloud, "10.0.0.3", cluster="bank")
    asked = {"port": 7, "tag_name": "cluster", "region": None}
    for tags in ({"cluster": "shop"}, {}):
        async with serve(Metadata(mine["InstanceId"], **tags).answer) as url:
            assert await look(cloud, **asked, metadata_url=url) == [Peer(("10.0.0.1:7",))]
            with pytest.raises(DiscoveryError, match="has no tag 'zone'; give it one, or set the option 'tag_value'"):
                await look(cloud, **(asked | {"tag_name": "zone"}), metadata_url=url)


async def test_silent_metadata_service_is_explained(cloud: str) -> None:
    """Where there is no such service the error says which options do without it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(DiscoveryError, match=r"does not answer .*set the options 'region' and 'tag_value'"):
            await look(cloud, port=7, tag_name="cluster", region=None, metadata_url=url)


async def test_missing_rights_and_wrong_keys_are_explained(cloud: str) -> None:
    """The exact action that is not allowed is named; so is a key that nobody knows."""
    with closing(client("iam", cloud)) as iam:
        iam.create_user(UserName="node")
        key = iam.create_access_key(UserName="node")["AccessKey"]
    post(f"{cloud}/moto-api/reset-auth", b"0")
    asked: dict[str, Any] = {"port": 7, "tag_name": "cluster", "tag_value": "shop"}
    try:
        with pytest.raises(DiscoveryError, match="AWS does not know the credentials: check the access key"):
            await look(cloud, **asked)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
            with pytest.raises(DiscoveryError, match="AWS does not allow ec2:DescribeInstances: add this action to"):
                await look(cloud, **asked)
    finally:
        post(f"{cloud}/moto-api/reset-auth", b"inf")


EXPIRED = b"<Response><Errors><Error><Code>RequestExpired</Code><Message>old</Message></Error></Errors></Response>"
LIMIT = b"<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(400, EXPIRED), r"credentials have expired, or this machine's clock is wrong: renew them \(RequestExp"),
        (Answer(503, LIMIT), "AWS limits the rate of ec2:DescribeInstances: raise 'poll_interval_s'"),
        (Answer(500, b""), "AWS refuses ec2:DescribeInstances"),
        (Answer(200, b"<html>"), "AWS answers what is none of its answers; check 'endpoint_url': Unable to parse"),
        (Answer(200, b"<html/>"), "AWS answers ec2:describe_instances without Reservations"),
    ],
)
async def test_what_moto_never_answers_is_explained(answer: Answer, why: str) -> None:
    """Faults of the service become one error each that says what to do; whoever answers is a double."""

    async def always(_request: Request) -> Answer:
        return answer

    async with serve(always) as url:
        with pytest.raises(DiscoveryError, match=why):
            await look(url, port=7, tag_name="cluster", tag_value="shop")


async def test_missing_rights_of_ecs_are_explained() -> None:
    """The action of ECS that is not allowed is named; a double says so, because moto says it in the wrong format."""

    async def forbid(_request: Request) -> Answer:
        return as_json({"__type": "AccessDeniedException", "message": "not authorized"}, 400)

    async with serve(forbid) as url:
        with pytest.raises(DiscoveryError, match="AWS does not allow ecs:ListTasks: add this action to"):
            await look(url, port=7, ecs_cluster="shop")


async def test_silence_ends_within_the_time_limit() -> None:
    """A service that never answers costs the time limit; meanwhile no second question is asked."""
    async with serve(lambda _request: never()) as url:
        strategy = AwsStrategy(
            AwsOptions(port=7, tag_name="c", tag_value="shop", region=REGION, endpoint_url=url, timeout_s=0.3)
        )
        strategy._client("ec2")
        first = asyncio.ensure_future(strategy.lookup())
        await asyncio.sleep(0)
        with pytest.raises(DiscoveryError, match="the call before, which took too long, has not ended yet"):
            await strategy.lookup()
        async with asyncio.timeout(5):
            with pytest.raises(DiscoveryError, match="AWS does not answer: Read timeout"):
                await first
        await strategy.stop()


async def test_absent_credentials_are_explained(monkeypatch: pytest.MonkeyPatch, cloud: str) -> None:
    """Without credentials the error says where to put them; once they are there they are taken."""
    strategy = AwsStrategy(AwsOptions(port=7, tag_name="c", tag_value="shop", region=REGION, endpoint_url=cloud))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(DiscoveryError, match="there are no AWS credentials: give the instance or task a role"):
            await strategy.lookup()
    assert list(await strategy.lookup()) == []
    await strategy.stop()
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtraError, match=r'pip install "foundation\[aws\]"'):
        await look(cloud, port=7, ecs_cluster="shop")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"port": 7}, "set 'tag_name' or 'filters' for EC2, or 'ecs_cluster' for ECS"),
        ({"tag_name": "a"}, "set 'port' to the nodes' FOUNDATION_PORT"),
        ({"port": 70000, "tag_name": "a"}, "port 70000: take one from 1 to 65535"),
        ({"port": 7, "filters": {"vpc-id": ["v"]}, "tag_value": "x"}, "'tag_value' needs 'tag_name'"),
        ({"port": 7, "tag_name": "a", "ecs_services": ["web"]}, "'ecs_services' needs 'ecs_cluster'"),
        ({"port": 7, "tag_name": "a", "ip_type": "elastic"}, "cannot be used: .*ip_type"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], why: str) -> None:
    """What cannot work is refused when the strategy is made."""
    with pytest.raises(ConfigurationError, match=why):
        make_strategy("aws", options)
