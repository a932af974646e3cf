"""A real API server of Kubernetes with etcd behind it, for tests that have both.

It differs from a cluster: nothing runs pods and nothing makes endpoint slices of them, so a test writes what kubelets
and controllers would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.services.dns import free_port

ADMIN = "tests-admin"
LOOPBACK = "127.0.0.1"


def programs() -> tuple[str, str]:
    """Return the paths of kube-apiserver and etcd, or skip the test, naming how to get them."""
    folder = Path(os.environ.get("FOUNDATION_SERVICES") or Path.home() / ".cache" / "foundation-services")
    built = sorted(folder.glob("kube-apiserver-*"))
    server = str(built[-1]) if built else shutil.which("kube-apiserver")
    if server is None:
        pytest.skip("the API server of Kubernetes is not built: tools/build-kube-apiserver")
    etcd = shutil.which("etcd")
    if etcd is None:
        pytest.skip(
            "etcd, which the API server of Kubernetes needs, is not installed: sudo apt-get install etcd-server"
        )
    return server, etcd


class KubeApiServer:
    """The server, whom to believe, and what an administrator does there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://{LOOPBACK}:{self.port}"
        self._programs: list[subprocess.Popen[bytes]] = []
        authority = trustme.CA()
        certificate = authority.issue_cert(LOOPBACK)
        self.authority = folder / "ca.crt"
        authority.cert_pem.write_to_path(self.authority)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        (folder / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n")

    def start(self) -> None:
        server, etcd = programs()
        client, peer = free_port(), free_port()
        storage = f"http://{LOOPBACK}:{client}"
        self._run(
            etcd,
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={storage}",
            f"--advertise-client-urls={storage}",
            f"--listen-peer-urls=http://{LOOPBACK}:{peer}",
            "--unsafe-no-fsync",
        )
        self._run(
            server,
            f"--etcd-servers={storage}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.folder}/cert.pem",
            f"--tls-private-key-file={self.folder}/key.pem",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder}/key.pem",
            f"--service-account-signing-key-file={self.folder}/key.pem",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            # Pods are to be made without what a controller would have made before.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        )
        self._wait()

    def _run(self, *command: str) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self._programs.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder))

    def _wait(self) -> None:
        context = ssl.create_default_context(cafile=self.authority)
        for _ in range(600):
            for program in self._programs:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(0.05)
                    pytest.fail(f"{program.args!r} has ended; its log is in {self.folder}")
            with contextlib.suppress(httpx.HTTPError):
                headers = {"Authorization": f"Bearer {ADMIN}"}
                if httpx.get(f"{self.url}/readyz", headers=headers, verify=context, trust_env=False).is_success:
                    return
        pytest.fail(f"the API server does not become ready; its log is in {self.folder}")

    def stop(self) -> None:
        for program in reversed(self._programs):
            program.kill()
            program.wait()

    async def ask(self, method: str, path: str, content: Any = None, *, patch: bool = False) -> dict[str, Any]:
        """Do something as the administrator; the server refuses fields that its schema does not have."""
        kind = "application/merge-patch+json" if patch else "application/json"
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind}
        query = {"fieldValidation": "Strict"} if method in ("POST", "PUT", "PATCH") else {}
        context = ssl.create_default_context(cafile=self.authority)
        async with httpx.AsyncClient(base_url=self.url, verify=context, trust_env=False, timeout=10) as client:
            body = None if content is None else json.dumps(content)
            response = await client.request(method, path, content=body, headers=headers, params=query)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

    async def account(self, namespace: str, name: str, folder: Path) -> None:
        """Make a namespace and a service account, and a folder with its files as a pod has it."""
        await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.ask("POST", accounts, {"metadata": {"name": name}})
        issued = await self.ask("POST", f"{accounts}/{name}/token", {"spec": {}})
        files = {"namespace": namespace, "token": issued["status"]["token"], "ca.crt": self.authority.read_text()}
        await asyncio.to_thread(_write, folder, files)


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@contextlib.contextmanager
def kube_apiserver(folder: Path) -> Generator[KubeApiServer]:
    """Run the server and etcd."""
    programs()
    server = KubeApiServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
