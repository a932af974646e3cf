"""The systems that are measured: how each is started, and what it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.calls.measuring import Plan

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
ERLANG = Path(__file__).parent / "erlang" / "calls.erl"


@dataclass(frozen=True)
class System:
    """One system under the same load."""

    name: str
    program: str
    python: Path = Path(sys.executable)
    environment: dict[str, str] = field(default_factory=dict[str, str])
    has_server: bool = True
    starts_fast: bool = True

    def missing(self) -> str | None:
        """Return what is to be done before it can be measured, or None."""
        if self.program == "erlang":
            return None if shutil.which("erl") else "apt-get install erlang-base"
        return None if self.python.exists() else "make bench-peers"

    def command(self, role: str, plan: Plan, address: str) -> list[str]:
        """Return the command of one side."""
        if self.program == "erlang":
            return _erlang(role, plan, address)
        text = (
            f'{{"targets": {plan.targets}, "warm_up_s": {plan.warm_up_s}, "sequential_s": {plan.sequential_s},'
            f' "concurrent_s": {plan.concurrent_s}, "callers": {list(plan.callers)}}}'
        )
        module = f"benchmarks.calls.programs.{self.program}"
        return [str(self.python), "-m", module, role, "--plan", text, "--address", address]


SYSTEMS = (
    System("foundation", "foundation_calls"),
    System("foundation_routed", "foundation_calls", environment={"BENCHMARK_ROUTED": "1"}),
    System("asyncio_tcp", "asyncio_tcp"),
    System("zenoh", "zenoh_raw"),
    System("zenoh_asyncio", "zenoh_raw", environment={"BENCHMARK_ON_THE_LOOP": "1"}),
    System("erlang", "erlang"),
    System("xoscar", "xoscar_calls", python=PEERS),
    System("ray", "ray_calls", python=PEERS, has_server=False, starts_fast=False),
)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which nodes of the benchmark meet nobody else's."""
    mine = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return dict(os.environ) | mine | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


_beam = tempfile.TemporaryDirectory(prefix="foundation-benchmark-")


def _erlang(role: str, plan: Plan, address: str) -> list[str]:
    beam = Path(_beam.name) / "calls.beam"
    if not beam.exists():
        subprocess.run(["erlc", "-o", _beam.name, str(ERLANG)], check=True)  # noqa: S607
    name = f"{role}-{os.getpid()}@127.0.0.1"
    common = ["erl", "-noinput" if role == "client" else "-noshell", "-pa", _beam.name, "-name", name]
    common += ["-setcookie", "benchmark", "-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
    if role == "server":
        return [*common, "-run", "calls", "serve", str(plan.targets)]
    times = (plan.warm_up_s, plan.sequential_s, plan.concurrent_s)
    arguments = [address, plan.targets, plan.payload_bytes, *map(float, times), *plan.callers]
    return [*common, "-run", "calls", "call", *map(str, arguments)]
