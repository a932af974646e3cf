"""``foundation certs``: what it makes lets nodes in, and nobody else."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import SubjectAlternativeName, load_pem_x509_certificate

from foundation.cli.main import main
from foundation.config.tls_folder import tls_in
from foundation.errors import ConfigurationError
from foundation.fabric.tls import Tls
from tests.commands import commands


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an authority, and a certificate for a node, in the folder that is returned."""
    monkeypatch.chdir(tmp_path)
    assert main(["certs", "init", "--days", "10"]) == 0
    assert main(["certs", "issue", "one", "127.0.0.1", "one.example", "--days", "365"]) == 0
    return tmp_path


def test_what_is_made_is_good_for_a_node(made: Path) -> None:
    """A folder has all that a node needs, which outlives no authority; keys are for their owner alone."""
    Tls(tls_in(made / "one"))
    certificate = load_pem_x509_certificate((made / "one" / "node.pem").read_bytes())
    assert certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=10)
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["127.0.0.1", "one.example"]
    for key in (made / "one" / "node-key.pem", made / "authority" / "authority-key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not (made / "one" / "authority-key.pem").exists()


def test_nothing_is_replaced_by_mistake(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither an authority nor a key, unless that is asked for."""
    before = (made / "one" / "node-key.pem").read_bytes()
    for command in (["certs", "init"], ["certs", "issue", "one"]):
        capsys.readouterr()
        assert main(command) == 2
        assert "exists; --replace makes another one in its place" in capsys.readouterr().err
    assert main(["certs", "issue", "one", "--replace"]) == 0
    assert (made / "one" / "node-key.pem").read_bytes() != before
    Tls(tls_in(made / "one"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "authority-key.pem").unlink(), "there is no authority in authority (No such file"),
        (lambda folder: (folder / "authority-key.pem").write_text("no"), "the authority in authority cannot be used"),
        (lambda folder: (folder / "authority-key.pem").write_bytes(
            (folder.parent / "one" / "node-key.pem").read_bytes()), "does not belong to"),
    ],
)  # fmt: skip
def test_an_authority_that_is_no_good(made: Path, capsys: pytest.CaptureFixture[str], spoil: Any, says: str) -> None:
    """The error names its folder."""
    spoil(made / "authority")
    assert main(["certs", "issue", "two"]) == 2
    assert says in capsys.readouterr().err


def test_addresses_and_names_are_checked(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot stand in a certificate is bad input."""
    del made
    assert main(["certs", "issue", "two", "\u00fc.example"]) == 2
    assert "neither an IP address nor a name in ASCII" in capsys.readouterr().err
    assert main(["certs", "issue", "x" * 70, "--out", "two"]) == 2
    assert "cannot stand in a certificate" in capsys.readouterr().err


def test_a_folder_names_all_files(made: Path, tmp_path: Path) -> None:
    """Those of this command, or those in a secret of Kubernetes; the error says which is missing."""
    (tmp_path / "secret").mkdir()
    for ours, theirs in (("node.pem", "tls.crt"), ("node-key.pem", "tls.key")):
        (tmp_path / "secret" / theirs).write_bytes((made / "one" / ours).read_bytes())
    with pytest.raises(ConfigurationError, match=r"has no authority: neither authority.pem nor ca.crt"):
        tls_in(tmp_path / "secret")
    (tmp_path / "secret" / "ca.crt").write_bytes((made / "one" / "authority.pem").read_bytes())
    assert tls_in(tmp_path / "secret").private_key.endswith("tls.key")


async def test_two_lines_of_configuration_are_mutual_tls(made: Path) -> None:
    """Nodes with certificates of one authority need no cookie; one without any stays alone, and both sides say why."""
    assert main(["certs", "issue", "other"]) == 0
    async with commands() as cli:
        environment = cli.ground.environment

        async def start(name: str, tls: str | None) -> Any:
            cli.ground.environment = environment | (
                {"FOUNDATION_TLS": str(made / tls), "FOUNDATION_COOKIE": ""} if tls else {}
            )
            return await cli.start("node", "--name", name)

        async with await start("one", "one") as one, await start("other", "other") as other:
            await one.line("other is up")
            await other.line("one is up")
            async with await start("plain", None) as plain:
                await plain.line("TLS")
                await one.line("TLS")
                assert "plain is up" not in one.output + other.output
