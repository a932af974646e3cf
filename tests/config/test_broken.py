"""Whatever is wrong, the message says where, with which key, and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundation.config import load_config
from foundation.errors import ConfigurationError

FILES = {
    "unknown key": (
        "nmae = 'a'",
        "foundation.toml:1: nmae: there is no such key; did you mean name?",
    ),
    "unknown key in a table": (
        "[membership]\n\ndown_after = 20",
        "foundation.toml:3: membership.down_after: there is no such key; did you mean membership.down_after_s?",
    ),
    "unknown table": (
        "[memberships]\ndown_after_s = 20",
        "foundation.toml:2: memberships.down_after_s: there is no such key; did you mean membership?",
    ),
    "unknown key deep inside": (
        "[membership.redial]\nfirst = 20",
        "foundation.toml:2: membership.redial.first: there is no such key; did you mean membership.redial.first_s?",
    ),
    "a key like no other": (
        "[fabric.tls]\nzzz = 1",
        (
            "foundation.toml:2: fabric.tls.zzz: there is no such key;"
            " there are: authority, certificate, mutual, private_key, verify_names"
        ),
    ),
    "no number": (
        "membership.down_after_s = 'soon'",
        "foundation.toml:1: membership.down_after_s must be a number, not 'soon'",
    ),
    "no whole number": (
        "[processes]\nmailbox_capacity = 1.5",
        "foundation.toml:2: processes.mailbox_capacity must be a whole number, not 1.5",
    ),
    "truth for a number": (
        "[processes]\nmailbox_capacity = true",
        "foundation.toml:2: processes.mailbox_capacity must be a whole number, not true",
    ),
    "negative": (
        "join_timeout_s = -1",
        "foundation.toml:1: join_timeout_s must not be negative, not -1",
    ),
    "too few": (
        "min_members = 0",
        "foundation.toml:1: min_members must be a number from 1, not 0",
    ),
    "infinite": (
        "join_timeout_s = inf",
        "foundation.toml:1: join_timeout_s must be finite, not inf",
    ),
    "no port": (
        "port = 65536",
        "foundation.toml:1: port must be a number from 0 to 65535 (0: any free one), not 65536",
    ),
    "a negative port": (
        "fabric.session_port = -1",
        "foundation.toml:1: fabric.session_port must be a number from 0 to 65535 (0: any free one), not -1",
    ),
    "no text": (
        "host = 3",
        "foundation.toml:1: host must be text, not 3",
    ),
    "no truth": (
        "observer = 'perhaps'",
        "foundation.toml:1: observer must be true or false, not 'perhaps'",
    ),
    "no list": (
        "roles = 3",
        "foundation.toml:1: roles must be a list, not 3",
    ),
    "no text in a list": (
        "roles = ['a',\n  3]",
        "foundation.toml:1: roles[1] must be text, not 3",
    ),
    "no table": (
        "membership = 3",
        "foundation.toml:1: membership must be a table, not 3",
    ),
    "a table for a value": (
        "[name]\nfirst = 'a'",
        "foundation.toml:2: name.first: name is a value, not a table",
    ),
    "metadata that is no text": (
        "[metadata]\nzone = 3",
        "foundation.toml:2: metadata.zone must be text, not 3",
    ),
    "twice, in both forms": (
        "port = 7\n[fabric]\nport = 8",
        "foundation.toml:3: fabric.port is given already, by foundation.toml:1: port",
    ),
    "an address without a port": (
        "peers = ['host']",
        "foundation.toml:1: peers: the address 'host' cannot be used: the port is missing",
    ),
    "the name of the cluster": (
        "cluster_name = '/'",
        (
            "foundation.toml:1: cluster_name: the cluster name '/' cannot be used: take 1 to 64 letters, digits, dots,"
            " dashes or underscores, a letter or digit first"
        ),
    ),
    "unknown strategy": (
        "cluster = 'mdsn'",
        "foundation.toml:1: cluster: there is no strategy 'mdsn'; did you mean 'mdns'?",
    ),
    "unknown strategy in the fallback": (
        "cluster = 'local'\nfallback = ['statik']",
        "foundation.toml:2: fallback: there is no strategy 'statik'; did you mean 'static'?",
    ),
    "options of an unknown strategy": (
        "[strategies.statik]\naddresses = ['a:1']",
        "foundation.toml:2: strategies.statik.addresses: there is no strategy 'statik'; did you mean 'static'?",
    ),
    "unknown option of a strategy": (
        "cluster = 'static'\n[strategies.static]\nadresses = ['a:1']",
        (
            "foundation.toml:3: strategies.static.adresses: there is no such key; did you mean"
            " strategies.static.addresses?"
        ),
    ),
    "an option of the wrong type": (
        "cluster = 'mdns'\n[strategies.mdns]\nttl_s = 'long'",
        "foundation.toml:3: strategies.mdns.ttl_s must be a whole number, not 'long'",
    ),
    "a strategy that is no table": (
        "[strategies]\nmdns = 3",
        "foundation.toml:2: strategies.mdns must be a table, not 3",
    ),
    "a class that cannot be loaded": (
        "cluster = 'nowhere.at.all:Class'\n[strategies.'nowhere.at.all:Class']\na = 1",
        (
            "foundation.toml:3: strategies.\"nowhere.at.all:Class\".a: the discovery strategy 'nowhere.at.all:Class'"
            " cannot be loaded: No module named 'nowhere'"
        ),
    ),
    "unknown profile": (
        "profile = 'prodution'",
        (
            "foundation.toml:1: profile must be one of development, production, enterprise, auto, not 'prodution';"
            " did you mean 'production'?"
        ),
    ),
    "half of the certificates": (
        "[fabric.tls]\ncertificate = 'node.pem'",
        (
            "foundation.toml:2: TLS needs a certificate, its private key and an authority;"
            " missing: fabric.tls.private_key, fabric.tls.authority"
        ),
    ),
    "a folder without certificates": (
        "tls = '/nowhere'",
        "foundation.toml:1: tls: the TLS folder /nowhere has no certificate: neither node.pem nor tls.crt",
    ),
    "a cookie that is no text is not shown": (
        "cookie = 4711",
        "foundation.toml:1: cookie must be text (what is there is not shown)",
    ),
    "several clusters": (
        "[clusters.app]\ncluster = 'local'\n[clusters.ai]\ncluster = 'static'",
        (
            "2 clusters are configured (app, ai), and a program takes part in one so far: choose it by"
            " FOUNDATION_CLUSTER_NAME, and start a program for each"
        ),
    ),
    "unknown key of a cluster": (
        "[clusters.app]\nclusters = 'local'",
        "foundation.toml:2: clusters.app.clusters: there is no such key; did you mean clusters.app.cluster?",
    ),
    "a feature that is not there yet": (
        "[messaging]\ncompression = true",
        (
            "foundation.toml:2: messaging.compression: there is no such key; there are: cluster, cluster_name,"
            " clusters, cookie, cookie_file, discovery, distribution, fabric, fallback, handle_signals, host,"
            " join_timeout_s, majority_of_found, membership, metadata, min_members, name, observer, peers, port,"
            " probe_host, probe_port, processes, profile, registry, replication, roles, session_port, strategies, tls,"
            " tls_authority, tls_certificate, tls_private_key, transport"
        ),
    ),
    "no TOML": (
        "name = 'a'\nport 7",
        "foundation.toml:2: it is not TOML: Expected '=' after a key in a key/value pair (column 6)",
    ),
    "an end too soon": (
        "name = 'a'\nroles = ['a',",
        "foundation.toml:2: it is not TOML: Invalid value at the end",
    ),
    "two keys of the same name": (
        "name = 'a'\nname = 'b'\n",
        "foundation.toml:2: it is not TOML: Cannot overwrite a value (column 11)",
    ),
}

VARIABLES = {
    "unknown": (
        {"FOUNDATION_COOKY": "a"},
        "FOUNDATION_COOKY: there is no such variable; did you mean FOUNDATION_COOKIE?",
    ),
    "unknown and nested": (
        {"FOUNDATION_MEMBERSHIP__DOWN_AFTER": "1"},
        (
            "FOUNDATION_MEMBERSHIP__DOWN_AFTER: there is no such variable; did you mean"
            " FOUNDATION_MEMBERSHIP__DOWN_AFTER_S?"
        ),
    ),
    "unknown table": (
        {"FOUNDATION_MEMBER__DOWN_AFTER_S": "1"},
        "FOUNDATION_MEMBER__DOWN_AFTER_S: there is no such variable; did you mean FOUNDATION_MEMBERSHIP__DOWN_AFTER_S?",
    ),
    "like no other": (
        {"FOUNDATION_ZZZ": "1"},
        "FOUNDATION_ZZZ: there is no such variable",
    ),
    "no number": (
        {"FOUNDATION_MEMBERSHIP__DOWN_AFTER_S": "soon"},
        "FOUNDATION_MEMBERSHIP__DOWN_AFTER_S must be a number, not 'soon'",
    ),
    "no port": (
        {"FOUNDATION_PORT": "http"},
        "FOUNDATION_PORT must be a number from 0 to 65535 (0: any free one), not 'http'",
    ),
    "no truth": (
        {"FOUNDATION_OBSERVER": "si"},
        "FOUNDATION_OBSERVER must be true or false, not 'si'",
    ),
    "beneath a value": (
        {"FOUNDATION_NAME__FIRST": "a"},
        "FOUNDATION_NAME__FIRST: name is a value, not a table",
    ),
    "no file": (
        {"FOUNDATION_CONFIG": "missing.toml"},
        "FOUNDATION_CONFIG: there is no file missing.toml",
    ),
    "no folder of secrets": (
        {"FOUNDATION_SECRETS_DIR": "missing"},
        "FOUNDATION_SECRETS_DIR: there is no folder missing",
    ),
    "unknown profile": (
        {"FOUNDATION_PROFILE": "staging"},
        "FOUNDATION_PROFILE must be one of development, production, enterprise, auto, not 'staging'",
    ),
    "half of the certificates": (
        {"FOUNDATION_TLS_CERTIFICATE": "a", "FOUNDATION_TLS_AUTHORITY": "b"},
        (
            "FOUNDATION_TLS_CERTIFICATE: TLS needs a certificate, its private key and an authority;"
            " missing: FOUNDATION_TLS_PRIVATE_KEY"
        ),
    ),
    "a table as one text": (
        {"FOUNDATION_MEMBERSHIP": "20"},
        "FOUNDATION_MEMBERSHIP must be a table, not '20'",
    ),
    "a password in an address is not shown": (
        {"FOUNDATION_PROCESSES__MAILBOX_CAPACITY": "redis://anne:hush@host"},
        "FOUNDATION_PROCESSES__MAILBOX_CAPACITY must be a whole number, not 'redis://***@host'",
    ),
}

ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"zzz": 1}, "the argument zzz: there is no such argument; there are: "),
    "misspelt": ({"prot": 7}, "the argument prot: there is no such argument; did you mean port?"),
    "no port": ({"port": 70000}, "the argument port must be a number from 0 to 65535 (0: any free one), not 70000"),
    "misspelt in a table": (
        {"membership": {"down_after": 1}},
        "the argument membership.down_after: there is no such argument; did you mean membership.down_after_s?",
    ),
    "no number in a table": (
        {"membership": {"down_after_s": "soon"}},
        "the argument membership.down_after_s must be a number, not 'soon'",
    ),
    "no record": ({"membership": 3}, "the argument membership must be a table, not 3"),
    "no file": ({"config": "missing.toml"}, "the argument config: there is no file missing.toml"),
}

SECRETS = {
    "cooky": ("hush", "cooky: there is no such secret; did you mean cookie?"),
    "port": ("hush", "port must be a number from 0 to 65535 (0: any free one) (what is there is not shown)"),
    "membership__down_after_s": ("hush", "membership__down_after_s must be a number (what is there is not shown)"),
}


def message(arguments: dict[str, Any], environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_config({"cookie": "tests"} | arguments, environ)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_broken_files(name: str, folder: Path) -> None:
    """A file's problem is told with the file, the line and the key."""
    text, expected = FILES[name]
    (folder / "foundation.toml").write_text(text)
    arguments: dict[str, Any] = {"cookie": None} if text.startswith("cookie") else {}
    assert message(arguments, {}) == expected


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.usefixtures("folder")
def test_broken_environments(name: str) -> None:
    """A variable's problem is told with its name."""
    environ, expected = VARIABLES[name]
    assert message({}, environ) == expected


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.usefixtures("folder")
def test_broken_arguments(name: str) -> None:
    """An argument's problem is told with its name; where nothing is like it, with all there are."""
    arguments, expected = ARGUMENTS[name]
    found = message(arguments, {})
    assert found.startswith(expected) if name == "unknown" else found == expected


@pytest.mark.parametrize("name", SECRETS)
def test_broken_secrets(name: str, folder: Path) -> None:
    """A secret's problem is told with its file, and never with what is in it."""
    text, expected = SECRETS[name]
    (folder / "secrets").mkdir()
    (folder / "secrets" / name).write_text(text)
    assert message({}, {"FOUNDATION_SECRETS_DIR": "secrets"}) == f"secrets/{expected}"


def test_all_problems_are_told_at_once(folder: Path) -> None:
    """Several sources with several mistakes make one error, each on a line of its own."""
    (folder / "foundation.toml").write_text(
        "nmae = 'a'\n[membership]\ndown_after_s = 'soon'\n[fabric.tls]\nmutual = true"
    )
    assert message({"prot": 3}, {"FOUNDATION_PORT": "x"}).splitlines() == [
        "5 problems in the configuration:",
        "  foundation.toml:1: nmae: there is no such key; did you mean name?",
        "  FOUNDATION_PORT must be a number from 0 to 65535 (0: any free one), not 'x'",
        "  the argument prot: there is no such argument; did you mean port?",
        (
            "  foundation.toml:5: TLS needs a certificate, its private key and an authority;"
            " missing: fabric.tls.certificate, fabric.tls.private_key, fabric.tls.authority"
        ),
        "  foundation.toml:3: membership.down_after_s must be a number, not 'soon'",
    ]


def test_a_problem_in_a_project_has_its_line(folder: Path) -> None:
    """In ``pyproject.toml`` lines are counted from the top of that file."""
    (folder / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n[tool.foundation]\nport = 'x'\n[tool.other]\nport = 3"
    )
    assert message({}, {}) == "pyproject.toml:4: port must be a number from 0 to 65535 (0: any free one), not 'x'"
