"""mypy and pyright know what is promised about types: what is right passes, what is wrong is an error on its line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FACES = ("tests/typing/public_face.py", "tests/typing/blocking_face.py")

# The checkers read the library and what it stands on.
pytestmark = pytest.mark.timeout(180)

WRONG = """
await cluster.start_process(Counter, "x")
await cluster.start_process(Shop)
await cluster.start_process(Shop, "tea", counter, 3)
await cluster.start_process(Idle, 1)
spec(Counter, start="x")
spec(Counter, begin=1)
await counter.add("x")
await counter.add(1, 2)
await counter.subtract(1)
await shop.adder(shop)
counter.watch("x")
register_type(Matrix, to_bytes=Shop.adder, from_bytes=Matrix.from_bytes)
register_type(Matrix, to_bytes=Matrix.to_bytes, from_bytes=str)
await cast(counter.add, "x")
await cast(counter.add, m=1)
await cast(counter.watch)
await desk.ask(3)
await desk.ask("x", 1)
number: str = await desk.ask("x")
await desk.compute("x")
await desk.compute(1, 2)
desk.compute(1).upper()
number: int = await desk.compute(1)
await desk.block()
await desk.crunch(["x"])
await cast(desk.crunch, "x")
text: str = await desk.crunch([1])
offload(to="moon")
await desk.put(1)
text: str = await desk.put("a")
await desk.look_up(1)
idempotent(len)
idempotent(counter.watch)
options(counter, timeout_s="x")
options(counter, time_s=1.0)
await cluster.ref(Adds, "counter").add("x")
number: str = await counter.add(1)
async for text in counter.watch(): text.upper()
cluster.groups.call_all("counters", Counter.add, "x")
cluster.groups.call_all("counters", Counter.watch)
await shop.start_linked(Counter, "x")
shop.send_after("1", 2)
shop.every(1.0)
shop.every(1.0, 2).stop()
number: int = shop.send_after(1, 2)
child(Counter, "x")
child(Shop)
child(Counter, restart="always")
child(Counter, stop_timeout_s="1")
supervisor(Counter)
supervisor(child(Counter), strategy="all_for_one")
text: str = await top.start_child(child(Counter))
await top.start_child(Counter)
await top.terminate(counter)
await cluster.start_supervisor(Counter)
await cluster.start_supervisor(child(Counter), strategy="none")
await cluster.start_supervisor(child(Counter), most_restarts=3)
blocking.start_supervisor(child(Counter), within_s="x")
await cluster.children.start(Counter, "x")
await cluster.children.start(Counter, 5, instances=3)
await cluster.children.start(Counter, 5, name="a", instances="each_node")
text: str = (await cluster.children.start(Counter, 5, name="a", instances=3))[0]
await cluster.children.start_shards(Counter, "x", name="a", shards=2)
await cluster.start_process(Counter, 5, distribute=True, restart="always")
await cluster.shard(Counter, "a", "key").add("x")
cluster.shard(Counter, "a", 1.5)
blocking.children().start(Counter, "x")
blocking.call(facade.reference.add, "x")
blocking.call(facade.reference.add, m=1)
blocking.call(facade.reference.subtract)
text: str = blocking.call(facade.reference.add, 1)
blocking.cast(facade.reference.add, "x")
plain: Counter = facade
blocking.start_process(Counter, "x")
""".strip().splitlines()

BEFORE = """
from foundation import Cluster, Supervisor, blocking, cast, child, idempotent, offload, options, register_type, spec
from foundation import supervisor
from tests.typing.public_face import Adds, Counter, Desk, Idle, Matrix, Shop

async def wrong(
    cluster: Cluster, counter: Counter, shop: Shop, desk: Desk, facade: blocking.Blocking[Counter], top: Supervisor
) -> None:
""".lstrip()


def run(*command: str, cwd: Path) -> str:
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env={**os.environ, "MYPYPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def unnoticed(output: str, file: Path) -> list[str]:
    """Return the wrong lines on which a checker reported no error."""
    reported = {int(number) for number in re.findall(rf"{file.name}:(\d+).*error", output)}
    first = BEFORE.count("\n") + 1
    return [line for number, line in enumerate(WRONG, first) if number not in reported]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    file = tmp_path / "wrong_calls.py"
    file.write_text(BEFORE + "".join(f"    {line}\n" for line in WRONG), encoding="utf-8")
    config = {"include": [file.name], "pythonVersion": "3.11", "extraPaths": [str(ROOT / "src"), str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    return file


def test_mypy_accepts_what_is_right() -> None:
    """Calls, streams, casts, options, names and starts have for mypy the types that are promised."""
    assert "Success" in run("mypy", "--strict", *FACES, cwd=ROOT)


def test_pyright_accepts_what_is_right() -> None:
    """Calls, streams, casts, options, names and starts have for pyright the types that are promised."""
    assert "0 errors" in run("pyright", "--project", "pyproject.toml", *FACES, cwd=ROOT)


def test_mypy_finds_what_is_wrong(wrong: Path) -> None:
    """Each wrong argument, name and use is an error for mypy, on its own line."""
    output = run("mypy", "--strict", "--explicit-package-bases", wrong.name, cwd=wrong.parent)
    assert unnoticed(output, wrong) == [], output


def test_pyright_finds_what_is_wrong(wrong: Path) -> None:
    """Each wrong argument, name and use is an error for pyright, on its own line."""
    output = run("pyright", cwd=wrong.parent)
    assert unnoticed(output, wrong) == [], output
