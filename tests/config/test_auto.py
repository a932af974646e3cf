"""``auto`` stands for what fits where the program runs, wherever it is said."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.config import Config, load_config
from foundation.config.loading import choose
from foundation.config.reading import read_sources
from foundation.discovery import environment, extras
from foundation.errors import ConfigurationError

CONSUL = {"CONSUL_HTTP_ADDR": "127.0.0.1:8500"}
AWS = {"tag_name": "app", "port": "7400", "region": "eu-north-1"}


@pytest.fixture(autouse=True)
def machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without files: whatever the one of the test is."""
    found = folder / "machine"
    found.mkdir()
    monkeypatch.setattr(environment, "ROOT", found)
    return found


def loaded(environ: dict[str, str], **arguments: Any) -> Config:
    return load_config({"cookie": "tests"} | arguments, environ)


def make_ec2(machine: Path) -> None:
    (machine / "sys/class/dmi/id").mkdir(parents=True)
    (machine / "sys/class/dmi/id/sys_vendor").write_text("Amazon EC2\n")


@pytest.mark.parametrize("source", ["argument", "variable", "file", "file of several"])
def test_every_source_can_say_auto(folder: Path, source: str) -> None:
    """An argument, a variable, the file, and the table of one cluster in it: all come to the same strategies."""
    environ, arguments, text = dict(CONSUL), dict[str, Any](), ""
    if source == "argument":
        arguments["cluster"] = "auto"
    elif source == "variable":
        environ["FOUNDATION_CLUSTER"] = "auto"
    else:
        text = "[clusters.app]\ncluster = 'auto'" if source == "file of several" else "cluster = ['auto']"
    (folder / "foundation.toml").write_text(text)
    config = loaded(environ, **arguments)
    assert (config.strategies, config.fallback) == (("consul",), ("gossip",))


def test_a_fallback_that_was_given_stays() -> None:
    """And strategies beside ``auto`` stay where they are, none of them twice."""
    config = loaded(CONSUL, cluster=["mdns", "auto", "consul"], fallback="static")
    assert (config.strategies, config.fallback) == (("mdns", "consul"), ("static",))
    assert loaded(CONSUL, cluster="auto", fallback=()).fallback == ()
    assert loaded({}, cluster="auto").strategies == ("local", "mdns")
    with pytest.raises(ConfigurationError, match="there is no strategy 'auto' for a fallback; write cluster = 'auto'"):
        loaded({}, fallback="auto")


def test_each_step_is_logged_with_its_evidence(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each step and one for what came of it; and not a word where nothing is detected."""
    caplog.set_level(logging.INFO)
    loaded(CONSUL, cluster="static")
    assert not caplog.messages
    loaded(CONSUL, cluster="auto", profile="auto")
    assert caplog.messages == [
        "environment: kubernetes: no, KUBERNETES_SERVICE_HOST is not set",
        "environment: consul: yes, CONSUL_HTTP_ADDR is 127.0.0.1:8500",
        "environment: ecs: no, ECS_CONTAINER_METADATA_URI_V4 is not set",
        "environment: ec2: no, the vendor of the machine is not told",
        "environment: gcp: no, the machine calls itself nothing",
        "environment: container: no, no container engine has left its file or its variable",
        "environment: development: no, it is consul",
        "environment: consul, so the profile is production",
        "environment: consul: nodes are found by consul, with the fallback gossip",
    ]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_what_lacks_an_option_is_passed_over_loudly(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A machine of EC2 whose tag nobody has told still runs a node, and the log says what to set."""
    make_ec2(machine)
    config = loaded({}, cluster="auto")
    assert (config.strategies, config.fallback) == (("gossip",), ())
    first, last = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert first.getMessage().startswith(
        "environment: it is ec2, but aws is not used to find nodes: the discovery strategy 'aws': set 'tag_name'"
    )
    assert last.getMessage() == "environment: ec2: nodes are found by gossip"


def test_what_has_its_options_is_used(machine: Path) -> None:
    """Options are taken from every source, also as the texts that variables are."""
    make_ec2(machine)
    variables = {f"FOUNDATION_STRATEGIES__AWS__{name.upper()}": value for name, value in AWS.items()}
    variables["FOUNDATION_STRATEGIES__GOSSIP__TARGETS"] = "one,two"
    assert loaded(variables, cluster="auto").strategies == ("aws",)
    assert loaded(variables, cluster="auto").fallback == ("gossip",)
    config = loaded({}, cluster="auto", strategies={"aws": AWS | {"port": 7400}})
    assert (config.strategies, config.fallback) == (("aws",), ("gossip",))


def test_what_is_not_installed_is_passed_over(
    machine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A library that is loaded only later counts too; without any, what needs none is left."""
    make_ec2(machine)
    monkeypatch.setattr("foundation.config.detection.not_installed", lambda name: {"aws": ["boto3"]}.get(name, []))
    options = {"aws": AWS | {"port": 7400}}
    assert loaded({}, cluster="auto", strategies=options).strategies == ("gossip",)
    assert 'it needs boto3, not installed here: pip install "foundation[aws]"' in caplog.text
    monkeypatch.setattr("foundation.config.detection.not_installed", lambda _: ["all of it"])
    assert loaded({}, cluster="auto").strategies == ("local", "mdns")


def test_the_libraries_of_an_extra_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those that the distribution declares, whether or not they are there."""
    assert extras.not_installed("static") == extras.not_installed("aws") == []
    declared = ['no-such-library>=2; extra == "aws"', "msgspec; extra == 'aws'", 'no-other; extra == "aws2"', "none"]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: declared)
    assert extras.not_installed("aws") == ["no-such-library"]


def test_later_code_sees_what_was_detected() -> None:
    """What is merged holds the strategies and the profile themselves, and says where they came from."""
    merged = choose(read_sources({"cluster": "auto", "profile": "auto"}, CONSUL))
    assert (merged["cluster",].value, merged["profile",].value) == (("consul",), "production")
    assert {merged[key,].place for key in ("cluster", "fallback", "profile")} == {"detected: consul"}
    assert {merged[key,].source for key in ("cluster", "fallback", "profile")} == {"detected"}


def test_what_was_detected_brings_its_own_defaults(machine: Path) -> None:
    """In a pod, ``auto`` turns on what ``kubernetes`` turns on; a cookie is asked for alike."""
    token = machine / "var/run/secrets/kubernetes.io/serviceaccount/token"
    token.parent.mkdir(parents=True)
    token.write_text("a token")
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    options = {"kubernetes": {"namespace": "shop"}}
    detected, named = (loaded(pod, cluster=name, strategies=options, name="n") for name in ("auto", "kubernetes"))
    assert replace(detected, fallback=()) == named
    assert (detected.fabric.host, detected.probe_port) == ("0.0.0.0", 8080)
    with pytest.raises(ConfigurationError, match="without a cookie that all nodes share"):
        load_config({"cluster": "auto", "strategies": options}, pod)
