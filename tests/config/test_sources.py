"""Where values come from, and which of them wins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foundation.config import Config, load_config
from foundation.config.loading import check
from foundation.config.profiles import PROFILES
from foundation.config.reading import read_sources
from foundation.core.backoff import Backoff
from foundation.core.secret import Secret
from foundation.discovery import DiscoveryOptions, environment
from foundation.errors import ConfigurationError
from foundation.fabric import FabricOptions, TlsOptions
from foundation.membership import MembershipOptions
from foundation.processes import ProcessOptions

NAME = "FOUNDATION_JOIN_TIMEOUT_S"


def loaded(environ: dict[str, str] | None = None, **arguments: Any) -> Config:
    return load_config({"cookie": "tests"} | arguments, environ or {})


def test_each_source_overrides_the_one_before(folder: Path) -> None:
    """Defaults < profile < file < secrets < environment < arguments."""
    secrets = folder / "secrets"
    secrets.mkdir()
    environ: dict[str, str] = {}
    assert loaded(environ).join_timeout_s == 3.0
    environ["FOUNDATION_PROFILE"] = "production"
    assert loaded(environ).join_timeout_s == PROFILES["production"]["join_timeout_s",] == 10.0
    (folder / "foundation.toml").write_text("join_timeout_s = 4")
    assert loaded(environ).join_timeout_s == 4.0
    (secrets / "join_timeout_s").write_text("5\n")
    environ["FOUNDATION_SECRETS_DIR"] = str(secrets)
    assert loaded(environ).join_timeout_s == 5.0
    environ[NAME] = "6"
    assert loaded(environ).join_timeout_s == 6.0
    assert loaded(environ, join_timeout_s=7.0).join_timeout_s == 7.0


def test_tables_are_put_over_each_other_value_by_value(folder: Path) -> None:
    """A source that says one value of a table leaves the others to the sources before it."""
    text = "metadata = {zone = 'a', rack = '1'}\n[membership]\ndown_after_s = 20\nredial.first_s = 0.5\n"
    (folder / "foundation.toml").write_text(text)
    config = loaded({"FOUNDATION_MEMBERSHIP__REDIAL__MOST_S": "9", "FOUNDATION_METADATA__ZONE": "b"})
    assert config.metadata == {"zone": "b", "rack": "1"}
    assert config.membership == MembershipOptions(down_after_s=20.0, redial=Backoff(first_s=0.5, most_s=9.0))


@pytest.mark.parametrize("strategy", ["kubernetes", "kubernetes_dns", "kubernetes_dns_srv"])
def test_one_line_is_enough_in_kubernetes(strategy: str, folder: Path) -> None:
    """It says where pods listen, that they answer probes, and that none begins on its own; whatever is said counts."""
    config = loaded({"FOUNDATION_CLUSTER": strategy})
    assert (config.fabric.host, config.fabric.port, config.fabric.session_port) == ("0.0.0.0", 4711, 4712)
    assert (config.probe_port, config.majority_of_found) == (8080, True)
    assert config.join_timeout_s == loaded(profile="production").join_timeout_s
    (folder / "foundation.toml").write_text("probe_port = 'none'\nmajority_of_found = false")
    given = loaded({"FOUNDATION_CLUSTER": f"mdns,{strategy}", "FOUNDATION_HOST": "127.0.0.1"}, profile="enterprise")
    assert (given.probe_port, given.majority_of_found, given.fabric.host) == (None, False, "127.0.0.1")
    assert given.discovery == loaded(profile="enterprise").discovery


def test_the_table_of_a_cluster_counts_for_that_cluster(folder: Path) -> None:
    """What a strategy says of its place is no matter of the other clusters."""
    (folder / "foundation.toml").write_text("[clusters.a]\ncluster = 'kubernetes'\n[clusters.b]\ncluster = 'consul'\n")
    assert loaded(cluster_name="a").probe_port == 8080
    assert loaded(cluster_name="b").probe_port is None


@pytest.mark.parametrize("given", [{"cluster": "kubernetes"}, {"profile": "production", "host": "0.0.0.0"}])
@pytest.mark.usefixtures("folder")
def test_production_asks_for_a_cookie(given: dict[str, str]) -> None:
    """One that every machine makes for itself would be another on each; on loopback it does."""
    with pytest.raises(ConfigurationError, match=r"refusing to listen on 0\.0\.0\.0 in production without a cookie"):
        load_config(given, {})
    assert load_config({**given, "host": "127.0.0.1"}, {}).cookie
    assert check(read_sources(given, {})) == (), "a file is right without what only the machine has"


def test_lists_are_replaced(folder: Path) -> None:
    """A list is one value; as text it is separated by commas, in a file too."""
    (folder / "foundation.toml").write_text("roles = ['a', 'b']\npeers = 'a:1, b:2'")
    assert loaded().roles == ("a", "b")
    assert loaded().peers == ("a:1", "b:2")
    assert loaded({"FOUNDATION_ROLES": "c,d,"}).roles == ("c", "d")
    assert loaded({"FOUNDATION_ROLES": ""}).roles == ()


def test_short_forms_are_the_same_keys(folder: Path) -> None:
    """``port`` is ``fabric.port``, in each source."""
    (folder / "foundation.toml").write_text("host = '127.0.0.2'\n[fabric]\nport = 1")
    config = loaded({"FOUNDATION_FABRIC__PORT": "2"}, session_port=3)
    assert (config.fabric.host, config.fabric.port, config.fabric.session_port) == ("127.0.0.2", 2, 3)
    assert loaded({"FOUNDATION_PORT": "4"}, fabric={"port": 5}).fabric.port == 5


def test_none_can_be_said(folder: Path) -> None:
    """TOML has no null: the text "none" is it, where nothing is a value."""
    (folder / "foundation.toml").write_text("processes.call_timeout_s = 'none'\nname = 'none'")
    assert loaded().processes.call_timeout_s is None
    assert loaded().name == "none"
    assert loaded({"FOUNDATION_PROCESSES__SLOW_HANDLER_S": "None"}).processes.slow_handler_s is None


def test_a_record_as_a_whole_ranks_before_the_environment(folder: Path) -> None:
    """Of a record only what differs from the defaults was said, and a variable can still change it."""
    (folder / "foundation.toml").write_text("[processes]\nturn_messages = 7\nmailbox_capacity = 8")
    options = ProcessOptions(mailbox_capacity=9, stream_credit=10)
    config = loaded({"FOUNDATION_PROCESSES__STREAM_CREDIT": "11"}, processes=options)
    assert config.processes == ProcessOptions(turn_messages=7, mailbox_capacity=9, stream_credit=11)
    assert loaded(discovery=DiscoveryOptions(most_peers=3)).discovery == DiscoveryOptions(most_peers=3)


def test_certificates_are_found_beside_the_file_that_names_them(folder: Path) -> None:
    """A relative name in a file is meant from its folder; from elsewhere, from the working directory."""
    text = "[fabric.tls]\ncertificate = 'a.pem'\nprivate_key = '/b.pem'\nauthority = 'c.pem'\nmutual = false"
    (folder / "foundation.toml").write_text(text)
    (folder / "below").mkdir()
    os.chdir(folder / "below")
    expected = TlsOptions(str(folder / "a.pem"), "/b.pem", "d.pem", mutual=False)
    assert loaded({"FOUNDATION_TLS_AUTHORITY": "d.pem"}).fabric == FabricOptions(tls=expected)


def test_the_nearest_file_counts(folder: Path) -> None:
    """The search goes upwards to the folder of the repository, and takes ``foundation.toml`` before a project's."""
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    os.chdir(below)
    assert loaded().name != "top"
    (folder / "pyproject.toml").write_text("[tool.foundation]\nname = 'project'")
    assert loaded().name == "project"
    (folder / "foundation.toml").write_text("name = 'top'")
    assert loaded().name == "top"
    (folder / "a" / "pyproject.toml").write_text("[tool.other]\nname = 'other'  # no foundation")
    assert loaded().name == "top"
    (folder / "a" / ".git").mkdir()
    assert loaded().name not in {"top", "project"}


def test_a_file_can_be_named(folder: Path) -> None:
    """An argument wins over the variable, the variable over the search; an empty name is no file at all."""
    for name in ("foundation", "mine", "other"):
        (folder / f"{name}.toml").write_text(f"name = '{name}'")
    assert loaded().name == "foundation"
    assert loaded({"FOUNDATION_CONFIG": "mine.toml"}).name == "mine"
    assert loaded({"FOUNDATION_CONFIG": "mine.toml"}, config=folder / "other.toml").name == "other"
    assert loaded({"FOUNDATION_CONFIG": ""}).name != "foundation"


@pytest.mark.skipif(os.name != "posix", reason="owners of files")
def test_a_file_that_others_can_write_is_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What somebody left in a shared folder configures nobody, unless it is named."""
    file = folder / "foundation.toml"
    file.write_text("name = 'trap'")
    file.chmod(0o666)
    assert loaded().name != "trap"
    assert "is left alone, because other users can write it" in caplog.text
    assert loaded({"FOUNDATION_CONFIG": str(file)}).name == "trap"


def test_secrets_are_files(folder: Path) -> None:
    """As Docker and Kubernetes mount them: a file or a link for each value, nested by name or by folder."""
    kept = folder / "mount" / "..2026"
    kept.mkdir(parents=True)
    (kept / "cookie").write_text("hush\n")
    (folder / "mount" / "..data").symlink_to("..2026")
    (folder / "mount" / "cookie").symlink_to("..data/cookie")
    (folder / "mount" / "FOUNDATION_NAME").write_text("node-1")
    (folder / "mount" / "membership__down_after_s").write_text("21")
    (folder / "mount" / "registry").mkdir()
    (folder / "mount" / "registry" / "retry_s").write_text("0.5")
    config = load_config({}, {"FOUNDATION_SECRETS_DIR": "mount"})
    assert config.cookie == Secret("hush")
    assert (config.name, config.membership.down_after_s, config.registry.retry_s) == ("node-1", 21.0, 0.5)


@pytest.mark.usefixtures("folder")
def test_what_kubernetes_sets_for_a_service_is_not_ours() -> None:
    """A service named ``foundation`` puts these variables into each pod; none is a mistake, none a port."""
    environ = {
        "FOUNDATION_SERVICE_HOST": "10.0.0.1",
        "FOUNDATION_SERVICE_PORT": "7400",
        "FOUNDATION_SERVICE_PORT_DOOR": "7400",
        "FOUNDATION_PORT": "tcp://10.0.0.1:7400",
        "FOUNDATION_PORT_7400_TCP": "tcp://10.0.0.1:7400",
        "FOUNDATION_PORT_7400_TCP_PROTO": "tcp",
        "FOUNDATION_PORT_7400_TCP_PORT": "7400",
        "FOUNDATION_PORT_7400_TCP_ADDR": "10.0.0.1",
        "FOUNDATION_WEB_SERVICE_HOST": "10.0.0.2",
        "FOUNDATION_WEB_PORT": "tcp://10.0.0.2:80",
    }
    assert loaded(environ).fabric == FabricOptions()


def test_strategies_get_their_options(folder: Path) -> None:
    """A table of options belongs to the strategy of its name, from each source; lists may be texts."""
    text = "cluster = ['static', 'local']\nfallback = 'mdns'\n[strategies.static]\naddresses = ['a:1']\n"
    (folder / "foundation.toml").write_text(text)
    config = loaded({"FOUNDATION_STRATEGIES__LOCAL__FOLDER": "/f"}, strategies={"static": {"default_port": 7}})
    assert (config.strategies, config.fallback) == (("static", "local"), ("mdns",))
    assert config.strategy_options["local"] == {"folder": "/f"}
    assert config.strategy_options["static"] == {"addresses": ("a:1",), "default_port": 7}
    config = loaded({"FOUNDATION_STRATEGIES__STATIC__ADDRESSES": "b:1,c:2"})
    assert config.strategy_options["static"] == {"addresses": ("b:1", "c:2")}


def test_one_of_several_clusters_is_chosen_by_its_name(folder: Path) -> None:
    """What is said for a cluster is put over what is said for all; a single one needs no choice."""
    app = "port = 1\nroles = ['all']\n[clusters.app]\nport = 2\n"
    (folder / "foundation.toml").write_text(app)
    assert (loaded().cluster_name, loaded().fabric.port, loaded().roles) == ("app", 2, ("all",))
    (folder / "foundation.toml").write_text(app + "[clusters.ai]\ncluster = 'static'\nroles = ['ai']\n")
    config = loaded(cluster_name="ai")
    assert (config.cluster_name, config.fabric.port, config.roles, config.strategies) == ("ai", 1, ("ai",), ("static",))
    assert loaded({"FOUNDATION_CLUSTER_NAME": "app", "FOUNDATION_CLUSTERS__APP__PORT": "3"}).fabric.port == 3


def test_profiles_build_on_each_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has what the one before it has; ``auto`` looks where the program runs."""
    monkeypatch.setattr(environment, "ROOT", folder)
    assert PROFILES["development"].items() <= PROFILES["production"].items() <= PROFILES["enterprise"].items()
    assert loaded({"FOUNDATION_PROFILE": "development"}, name="n") == loaded(name="n")
    assert loaded({"FOUNDATION_PROFILE": "enterprise"}).discovery.poll_interval_s == 5.0
    for environ in ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"container": "podman"}):
        assert loaded({"FOUNDATION_PROFILE": "auto"} | environ).distribution.rebalance
    assert not loaded({"FOUNDATION_PROFILE": "auto"}).distribution.rebalance


LOADED = "import sys; from foundation.config import load_config; load_config({}); print(*sys.modules)"


@pytest.mark.parametrize(
    ("environ", "text", "expected"),
    [
        ({}, None, set()),
        ({"FOUNDATION_COOKIE": "x", "FOUNDATION_PORT": "7", "FOUNDATION_PEERS": "a:1"}, None, set()),
        ({"FOUNDATION_MEMBERSHIP__TICK_S": "1"}, None, {"pydantic"}),
        ({}, "port = 7", {"pydantic"}),
        ({"FOUNDATION_SECRETS_DIR": "."}, None, {"pydantic", "pydantic_settings"}),
    ],
)
def test_libraries_are_loaded_where_they_are_needed(
    environ: dict[str, str], text: str | None, expected: set[str], folder: Path
) -> None:
    """A node without a file, nested variables and secrets does not pay for what reads them."""
    if text is not None:
        (folder / "foundation.toml").write_text(text)
    (folder / "name").write_text("node-1")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FOUNDATION_")}
    kept |= {"XDG_CONFIG_HOME": str(folder / ".config"), "HOME": str(folder)}
    output = subprocess.run(
        [sys.executable, "-c", LOADED], env=kept | environ, check=True, stdout=subprocess.PIPE, text=True, timeout=20
    ).stdout
    assert set(output.split()) & {"pydantic", "pydantic_settings"} == expected


def test_of_cookie_and_cookie_file_the_later_source_counts(folder: Path) -> None:
    """Each says what the other would; within one source the cookie itself counts."""
    file = folder / "kept"
    file.write_text("from the file")
    file.chmod(0o600)
    (folder / "foundation.toml").write_text("cookie_file = 'kept'")
    config = load_config({}, {})
    assert (config.cookie, config.cookie_file) == (Secret("from the file"), str(file))
    config = load_config({}, {"FOUNDATION_COOKIE": "said", "FOUNDATION_COOKIE_FILE": "kept"})
    assert (config.cookie, config.cookie_file) == (Secret("said"), None)
    assert load_config({"cookie_file": file}, {"FOUNDATION_COOKIE": "said"}).cookie == Secret("from the file")


def test_certificates_may_be_a_folder(folder: Path) -> None:
    """One word names all three files, in each source; single files may differ from those in it."""
    for name in ("node.pem", "node-key.pem", "authority.pem"):
        (folder / name).touch()
    files = TlsOptions(str(folder / "node.pem"), str(folder / "node-key.pem"), str(folder / "authority.pem"))
    (folder / "foundation.toml").write_text("tls = '.'")
    assert loaded().fabric.tls == files
    assert loaded({"FOUNDATION_TLS": str(folder)}, config="").fabric.tls == files
    assert loaded(tls=folder, config="").fabric.tls == files
    environ = {"FOUNDATION_TLS": str(folder), "FOUNDATION_TLS_AUTHORITY": "mine.pem"}
    assert loaded(environ, config="").fabric.tls == TlsOptions(files.certificate, files.private_key, "mine.pem")
